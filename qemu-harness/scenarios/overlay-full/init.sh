# shellcheck shell=sh
load nbd

# field NAME: a number of the daemon's own status.
field() { netcow status --json "$device" | sed -n "s/.*\"$1\": \([0-9]*\).*/\1/p" | tail -n 1; }

# within SECONDS COMMAND...: until it succeeds, or the time is over.
within() {
  end=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$end" ] || { echo "in vain: $*" && netcow status && return 1; }
    sleep 1
  done
}
writes_wait() { [ "$(field waitingWrites)" -gt 0 ]; }
nothing_waits() { [ "$(field waitingWrites)" -eq 0 ]; }
is_freed() { [ "$(field usedBytes)" -lt $((128 << 20)) ]; }

attach() { netcow attach --device "$device" --overlay memory:192M "$(address /blank.qcow2)"; }

# The writer dirties more than there is room for, and is in the middle of it when it has to wait.
fills() {
  (exec >/mnt/big && while cat /tmp/random; do :; done) 2>/dev/null &
  echo $! >/run/writer
  within 120 writes_wait && netcow status "$device"
}

# What is deleted is being written out by somebody who does not stop before all of it is.
frees() {
  began=$(seconds_since_boot)
  sync &
  sleep 3
  kill -9 "$(cat /run/writer)"
  rm /mnt/big && sync && fstrim /mnt && sync || return 1
  within 150 nothing_waits && within 60 is_freed || return 1
  waited=$(seconds_since_boot)
  measure "freed_$1_seconds" "$(echo "$waited $began" | awk '{ print $1 - $2 }')"
}

goes_on() {
  dd if=/dev/urandom of=/tmp/again bs=1M count=8 2>/dev/null
  cp /tmp/again /mnt/again && sync && echo 3 >/proc/sys/vm/drop_caches &&
    cmp /tmp/again /mnt/again && measure "compared $1" "$(wc -c </mnt/again)" && umount /mnt && netcow detach "$device"
}

device=/dev/nbd0
dd if=/dev/urandom of=/tmp/random bs=1M count=1 2>/dev/null
for type in ext4 xfs btrfs; do
  load $type
  check "${type}_attach" attach
  # btrfs keeps an account of its own for what is dirty: limited as a boot from an overlay in memory is.
  [ $type != btrfs ] || echo $((24 << 20)) >/proc/sys/vm/dirty_bytes
  case $type in
    ext4) /sbin/mke2fs -q -t ext4 "$device" ;;
    *) "/sbin/mkfs.$type" -q "$device" ;;
  esac
  mount -t "$type" -o discard "$device" /mnt
  check "${type}_fills" fills
  check "${type}_frees" frees $type
  check "${type}_goes_on" goes_on $type
done

resizes() {
  device=$(netcow attach --overlay memory:32M "$(address /blank.qcow2)") || return 1
  dd if=/dev/zero of="$device" bs=1M count=64 conv=fsync 2>/dev/null &
  writer=$!
  within 60 writes_wait && netcow resize-overlay "$device" 80M && wait $writer &&
    [ "$(field usedBytes)" -ge $((64 << 20)) ] && netcow status "$device"
}
check resizes resizes
check list netcow list
check daemon daemon_memory
check detach netcow detach "$device"
