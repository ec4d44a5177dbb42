# shellcheck shell=sh
# The root is an overlayfs in memory, and nothing reaches the device below it.
set -eu
[ "$(findmnt --noheadings --output FSTYPE /)" = overlay ]
[ "$(cat /sys/block/nbd0/ro)" = 1 ]
echo written >/netcow-overlayfs
rm /etc/debian_version
sync
[ ! -e /etc/debian_version ]
mount -o ro /dev/nbd0 /mnt
[ ! -e /mnt/netcow-overlayfs ]
[ -e /mnt/etc/debian_version ]
umount /mnt
grep ' / ' /proc/self/mountinfo
