# shellcheck shell=sh
# In the initramfs, where netcow and its libraries are. Each line that fails ends it.
device=$(netcow attach memory:32M)
echo "attached $device"
name=${device#/dev/}
[ "$(cat "/sys/block/$name/size")" = 65536 ]
[ "$(cat "/sys/block/$name/backend")" = netcow ]
case $(cat "/sys/block/$name/queue/scheduler") in
  *'[none]'*) ;;
  *) exit 1 ;;
esac

# Closing the device writes the page cache out and drops it.
echo 'written through the kernel' >"$device"
read -r line <"$device"
[ "$line" = 'written through the kernel' ]
[ "$(netcow copy --format raw --sizelimit 26 "$device" -)" = 'written through the kernel' ]

netcow detach "$device"
[ ! -e "/sys/block/$name/pid" ]
echo 'detached'

if netcow detach /dev/nbd0 2>/run/netcow-harness/refusal; then exit 1; fi
cat /run/netcow-harness/refusal
read -r line </run/netcow-harness/refusal
case $line in
  *'in use: mounted on /sysroot'*) ;;
  *) exit 1 ;;
esac
