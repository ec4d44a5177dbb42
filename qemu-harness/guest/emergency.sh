# shellcheck shell=sh
# Says that the initramfs gave up, and whether a root was mounted then: on the /sysroot of dracut and
# of systemd, the /root of initramfs-tools, the /new_root of mkinitcpio. Sourced, so it only returns.
if grep -qE ' /(sysroot|root|new_root) ' /proc/mounts; then
  echo '{"emergency":true,"rootMounted":true}' >/dev/ttyS1
else
  echo '{"emergency":true,"rootMounted":false}' >/dev/ttyS1
fi
