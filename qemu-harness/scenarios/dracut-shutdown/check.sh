# shellcheck shell=sh
cat /run/netcow-harness/early.log
ls -l /boot
systemctl is-active dracut-shutdown || systemctl status dracut-shutdown
exit "$(cat /run/netcow-harness/early.exit)"
