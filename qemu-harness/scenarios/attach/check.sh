# shellcheck shell=sh
cat /run/netcow-harness/early.log
[ "$(cat /run/netcow-harness/early.exit)" = 0 ] || exit 1

# Another device, which is still there at the end, and whose daemon runs from the root.
set -eu
cp /run/initramfs/shutdown /usr/bin/netcow
find /run/initramfs -type f \( -name 'libatomic.so*' -o -name 'libstdc++.so*' \) \
  -exec cp {} /usr/lib/x86_64-linux-gnu \;
device=$(netcow attach memory:32M)
mke2fs -q "$device"
mount "$device" /mnt
echo "$device is mounted"
