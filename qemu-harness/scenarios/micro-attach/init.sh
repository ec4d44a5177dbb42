# shellcheck shell=sh
load nbd ext4

# shellcheck disable=SC2154 # of the kernel command line
attach() { device=$(netcow attach --overlay memory:64M "$url") && echo "$device" && [ -b "$device" ]; }
use() {
  mount "$device" /mnt && echo written >/mnt/file && cmp /bin/busybox /mnt/bin/busybox &&
    umount /mnt && mount "$device" /mnt && cat /mnt/file && umount /mnt
}
check attach attach
measure attachedSeconds "$(seconds_since_boot)"
device=/dev/nbd0
check use use
check daemon daemon_memory
detach() { netcow detach "$device" && [ ! -e /sys/block/nbd0/pid ]; }
check detach detach
