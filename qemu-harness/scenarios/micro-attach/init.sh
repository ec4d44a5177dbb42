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
# limits_dirty FLAG SHARE: what the kernel may hold back of this device, and only of this one.
limits_dirty() {
  grep -H . /sys/block/nbd0/bdi/strict_limit /sys/block/nbd0/bdi/max_ratio &&
    [ "$(cat /sys/block/nbd0/bdi/strict_limit)" = "$1" ] &&
    [ "$(cat /sys/block/nbd0/bdi/max_ratio)" "$2" 100 ]
}
check limits_dirty limits_dirty 1 -lt
check daemon daemon_memory
detach() { netcow detach "$device" && [ ! -e /sys/block/nbd0/pid ]; }
check detach detach
check lifts_limit limits_dirty 0 -eq
