# shellcheck shell=sh
# A dracut shutdown-emergency hook: says that the boot was given up, and what was mounted then.
# Sourced, so it only returns.
if grep -q ' /sysroot ' /proc/mounts; then
  echo '{"emergency":true,"rootMounted":true}' >/dev/ttyS1
else
  echo '{"emergency":true,"rootMounted":false}' >/dev/ttyS1
fi
