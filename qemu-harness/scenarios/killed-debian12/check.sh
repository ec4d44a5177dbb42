# shellcheck shell=sh
# Behind systemd's switch_root: the daemon of the root is killed four times while files are written and
# read back, and each time its keeper has started another one.
set -eu
# Whose first word begins with $1; the shell's own programs, as few as there are, are read before.
named() {
  for process in /proc/[0-9]*; do
    case $(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) in
      "$1"*) echo "${process#/proc/}" && return 0 ;;
    esac
  done
  return 1
}

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
printf '{"measure":"largestWaitSeconds","value":%s}\n' "$longest" >/dev/ttyS1
printf '{"measure":"compared files","value":%s}\n' $((8 * 64 * 65536)) >/dev/ttyS1
rm /var/killed /var/killed-*
echo "4 daemons, $longest s at most"
