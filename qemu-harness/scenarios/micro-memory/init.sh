# shellcheck shell=sh
load nbd

device=/dev/nbd0
queue=/sys/block/nbd0/queue
# Reads come from the device, not from the page cache.
forget() { sync && echo 3 >/proc/sys/vm/drop_caches; }
zeroes() { dd if=/dev/zero bs=1024 count="$1" 2>/dev/null; }

attach() { [ "$(netcow attach memory:32M)" = "$device" ] && [ -e /sys/block/nbd0/pid ]; }
sizes() {
  lsblk --bytes --noheadings --nodeps --output SIZE,RO,TYPE "$device" | tee /tmp/lsblk
  read -r size read_only type </tmp/lsblk
  [ "$size $read_only $type" = '33554432 0 disk' ] &&
    [ "$(cat /sys/block/nbd0/size)" = 65536 ] &&
    [ "$(cat $queue/logical_block_size)" = 512 ] &&
    [ "$(cat $queue/physical_block_size)" = 512 ] &&
    [ "$(cat $queue/discard_max_bytes)" -gt 0 ] &&
    [ "$(dd if="$device" bs=512 skip=65536 2>/dev/null | wc -c)" = 0 ]
}
fill() {
  dd if=/dev/urandom of=/tmp/expected bs=1M count=32 2>/dev/null &&
    dd if=/tmp/expected of="$device" bs=1M conv=fsync 2>/dev/null && forget &&
    cmp /tmp/expected "$device"
}
rewrite() {
  echo 'in the middle of a sector' >/tmp/line
  for file in "$device" /tmp/expected; do
    dd if=/tmp/line of="$file" bs=1 seek=1234567 conv=notrunc 2>/dev/null || return 1
  done
  forget && cmp /tmp/expected "$device"
}
trim() {
  /sbin/blkdiscard --offset 8M --length 4M "$device" &&
    /sbin/blkdiscard --zeroout --offset 16M --length 512 "$device" &&
    dd if=/dev/zero of=/tmp/expected bs=1M seek=8 count=4 conv=notrunc 2>/dev/null &&
    dd if=/dev/zero of=/tmp/expected bs=512 seek=32768 count=1 conv=notrunc 2>/dev/null &&
    forget && cmp /tmp/expected "$device" && /sbin/blkdiscard "$device" && forget &&
    zeroes 32768 | cmp - "$device"
}
detach() {
  netcow detach "$device" && [ ! -e /sys/block/nbd0/pid ] &&
    [ "$(cat /sys/block/nbd0/size)" = 0 ] &&
    size=$(lsblk --bytes --noheadings --nodeps --output SIZE "$device" || true) &&
    [ "${size:-0}" -eq 0 ]
}
read_only() {
  [ "$(netcow attach --read-only memory:1M)" = "$device" ] && [ "$(cat /sys/block/nbd0/ro)" = 1 ] &&
    [ "$(cat /sys/block/nbd0/size)" = 2048 ] && zeroes 1024 | cmp - "$device" &&
    ! echo refused >"$device" && netcow detach "$device"
}
log() { ! dmesg | grep -E 'nbd.*([Ee]rror|timed out|stuck|failed)|WARNING:|BUG:'; }

check attach attach
check sizes sizes
check fill fill
check rewrite rewrite
check trim trim
check detach detach
check read-only read_only
check again attach
check lost-nothing sizes
check last-detach detach
check log log
