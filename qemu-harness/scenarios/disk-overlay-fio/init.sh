# shellcheck shell=sh
load nbd ext4

daemon() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' /run/netcow/nbd0.json; }

# shellcheck disable=SC2154 # of the kernel command line
attach() { netcow attach --overlay file:/dev/vda "$url" && mount /dev/nbd0 /mnt && netcow list; }
check attach attach
measure attachedSeconds "$(seconds_since_boot)"

fio_verifies() {
  fio --name=verify --directory=/mnt --size=24M --bsrange=4k-64k --rw=randwrite --ioengine=psync \
    --direct=1 --fsync=16 --numjobs=2 --verify=crc32c --verify_state_save=0 --do_verify=1 \
    --loops=2 --group_reporting --output=/run/fio &
  writer=$!
  kills=0
  for pause in 4 3 5 2; do
    sleep $pause
    kill -0 $writer 2>/dev/null || break
    kill -9 "$(daemon)"
    netcow attach --resume /dev/nbd0 || return 1
    kills=$((kills + 1))
  done
  wait $writer || { tail -n 5 /run/fio && return 1; }
  measure kills $kills
  # It reads only what it compares.
  measure 'compared fio' "$(sed -n 's/.*READ: .* io=\([0-9.]*\)MiB.*/\1/p' /run/fio | awk '{ printf "%d", $1 * 1048576 }')"
  # fio says the longest write in microseconds or milliseconds.
  grep -E 'clat .*max=' /run/fio
}
check fio fio_verifies
check status netcow status
check daemon daemon_memory

# The overlay is there for the next one who attaches it, and for no other image.
detached() { umount /mnt && netcow detach /dev/nbd0; }
check detach detached
again() {
  netcow attach --overlay file:/dev/vda "$url" && mount /dev/nbd0 /mnt && ls -l /mnt/verify* &&
    umount /mnt && e2fsck -fn /dev/nbd0 && netcow detach /dev/nbd0
}
check again again
foreign() { ! netcow attach --format raw --overlay file:/dev/vda "$url"; }
check foreign foreign
