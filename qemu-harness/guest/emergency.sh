# shellcheck shell=sh
# Says that the initramfs gave up, and whether a root was mounted then, on dracut's /sysroot or on
# the /root of initramfs-tools. Sourced, so it only returns.
if grep -qE ' /(sysroot|root) ' /proc/mounts; then
  echo '{"emergency":true,"rootMounted":true}' >/dev/ttyS1
else
  echo '{"emergency":true,"rootMounted":false}' >/dev/ttyS1
fi
