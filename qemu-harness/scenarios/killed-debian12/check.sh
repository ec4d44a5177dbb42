# shellcheck shell=sh
# Behind systemd's switch_root: the daemon of the root is killed four times while files are written and
# read back, and each time its keeper has started another one.
set -eu
# shellcheck source=qemu-harness/guest/report.sh
. "$(dirname "$0")/report.sh"

keeper=$(named @/sh)
[ ! -e "/proc/$keeper/root/usr/lib/systemd" ]
mkdir /run/killed
dd if=/dev/urandom of=/run/killed/written bs=64k count=64 status=none
cp /run/killed/written /var/killed
sync
longest=0
for kill in 1 2 3 4; do
  before=$(named @netcow)
  began=$(cut -d. -f1 /proc/uptime)
  kill -9 "$before"
  cp /run/killed/written "/var/killed-$kill"
  sync
  echo 3 >/proc/sys/vm/drop_caches
  cmp /run/killed/written "/var/killed-$kill"
  cmp /run/killed/written /var/killed
  ended=$(cut -d. -f1 /proc/uptime)
  [ $((ended - began)) -le "$longest" ] || longest=$((ended - began))
  [ "$(named @netcow)" != "$before" ]
  [ "$(named @/sh)" = "$keeper" ]
done
measure largestWaitSeconds "$longest"
measure 'compared files' $((8 * 64 * 65536))
rm /var/killed /var/killed-*
echo "4 daemons, $longest s at most"
