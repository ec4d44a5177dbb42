# shellcheck shell=sh
# Says that the initramfs gave up, and whether a root was mounted then: on the /sysroot of dracut and
# of systemd, the /root of initramfs-tools, the /new_root of mkinitcpio. Sourced, so it only returns.
# The port is that of report.sh.
netcow_port=/dev/ttyS1
[ ! -e /dev/ttyAMA0 ] || netcow_port=/dev/ttyS0
if grep -qE ' /(sysroot|root|new_root) ' /proc/mounts; then
  echo '{"emergency":true,"rootMounted":true}' >"$netcow_port"
else
  echo '{"emergency":true,"rootMounted":false}' >"$netcow_port"
fi
