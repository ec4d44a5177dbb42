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
# What the kernel may hold back of this device, while its overlay is in memory.
bdi() { cat "/sys/block/nbd0/bdi/$1"; }
limits_dirty() { bdi max_bytes && [ "$(bdi strict_limit)" = 1 ] && [ "$(bdi max_ratio)" -lt 100 ]; }
lifts_limit() { [ "$(bdi strict_limit)" = 0 ] && [ "$(bdi max_ratio)" = 100 ]; }
check limits_dirty limits_dirty
grows() {
  before=$(bdi max_ratio)
  netcow resize-overlay "$device" 256M && limits_dirty && [ "$(bdi max_ratio)" -gt "$before" ]
}
check grows grows
check daemon daemon_memory
detach() { netcow detach "$device" && [ ! -e /sys/block/nbd0/pid ]; }
check detach detach
check lifts_limit lifts_limit
