# shellcheck shell=sh
# netcow has /dev/nbd0 and qemu-nbd /dev/nbd1, in turn, each with the same seeds of random reads.
load nbd
mkdir -p /var/lock

ROUNDS='1 2 3'
SECONDS_EACH=4
LOADS='4k-1 randread 4k 1
4k-32 randread 4k 32
64k-8 randread 64k 8
64k-sequential read 64k 1
1m-sequential read 1m 4'

size() { cat "/sys/block/${1#/dev/}/size"; }
up() {
  case $1 in
    netcow) netcow attach --read-only --format qcow2 --device "$2" "$3" >/dev/null ;;
    qemu) qemu-nbd --fork --read-only --format=qcow2 --connect="$2" "$3" ;;
  esac || return 1
  until [ "$(size "$2")" -gt 0 ]; do sleep 0.1; done
}
down() {
  case $1 in
    netcow) netcow detach "$2" ;;
    qemu) qemu-nbd --disconnect "$2" >/dev/null ;;
  esac || return 1
  while [ -e "/sys/block/${2#/dev/}/pid" ]; do sleep 0.1; done
}
# KiB per second, the seventh of the fields that fio prints: a slow guest reads less than one MiB in a second.
rate() {
  fio --thread --name=read --readonly --filename="$1" --rw="$3" --bs="$4" --iodepth="$5" \
    --ioengine=libaio --direct=1 --randseed="$2" --norandommap --time_based \
    --runtime=$SECONDS_EACH --output-format=terse --terse-version=3 | cut -d';' -f7
}
# turn SERVER DEVICE FILE ROUND: attaches, reads in every way, and detaches.
turn() {
  up "$1" "$2" "$3" || return 1
  echo "$1 $(size "$2") $(dd if="$2" bs=1M count=64 iflag=direct 2>/dev/null | md5sum)" >>/run/same
  echo "$LOADS" | while read -r name access block depth; do
    echo "$name $1 $(rate "$2" "$4" "$access" "$block" "$depth")" >>/run/rates
  done
  down "$1" "$2"
}
# Both have read the same bytes of a disk of the same size, and fio has read something every time.
alike() {
  [ "$(cut -d' ' -f2- /run/same | sort -u | wc -l)" = 1 ] &&
    [ "$(cut -d' ' -f2 /run/same | sort -u)" = 1331200 ] &&
    awk '!($3 > 0) { print; bad = 1 } END { exit bad }' /run/rates
}
# Of what all rounds together read.
ratios() {
  awk '{ sum[$1, $2] += $3; names[$1] } END { for (name in names)
    printf "%s %.3f\n", name, sum[name, "netcow"] / sum[name, "qemu"] }' /run/rates
}
compare() {
  : >/run/same
  : >/run/rates
  cat "$2" >/dev/null
  for round in $ROUNDS; do
    turn netcow /dev/nbd0 "$2" "$round" && turn qemu /dev/nbd1 "$2" "$round" || return 1
  done
  alike || return 1
  sort /run/rates >/dev/console
  ratios | sort | while read -r name ratio; do
    measure "ratio $1 $name" "$ratio"
    echo "$name $ratio,"
  done
}
check plain compare plain /dev/vda
check zlib compare zlib /dev/vdb
