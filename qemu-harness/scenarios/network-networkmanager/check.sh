# shellcheck shell=sh
# NetworkManager has taken the interface over, and renews its lease; then it is killed, comes back,
# every process is stopped and told to end, and for a while there is no network at all.
set -eu
uptime_seconds() { cut -d' ' -f1 /proc/uptime; }
tell() { printf '{"measure":"%s","value":%s}\n' "$1" "$2" >/dev/ttyS1; }

managed() {
  systemctl is-active NetworkManager
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    nmcli --terse --fields DHCP4 device show ens3 | grep -q ip_address && break
    sleep 1
  done
  nmcli --terse --fields GENERAL.STATE,GENERAL.CONNECTION device show ens3
  nmcli --terse --fields DHCP4 device show ens3 | grep ip_address
  [ "$(nmcli --terse --get-values GENERAL.CONNECTION device show ens3)" = netcow ]
}
managed

# As init systems do it at the end: everything but this shell and process 1, the daemon included.
# While that is stopped nothing can be read, so the shell itself must do it.
before=$(uptime_seconds)
for _ in 1 2 3; do
  kill -STOP -1
  kill -CONT -1
done
others=
for process in /proc/[0-9]*; do
  case $(readlink "$process/exe") in
    '' | */dash | */systemd) ;;
    *) others="$others ${process#/proc/}" ;;
  esac
done
for _ in 1 2 3; do
  # shellcheck disable=SC2086 # words are meant; most have ended after the first time
  kill -TERM $others 2>/dev/null || true
done
systemctl restart dbus NetworkManager
managed

# The host pulls the cable out when it hears this, and plugs it in again 15 seconds later.
echo 3 >/proc/sys/vm/drop_caches
tell cut "$(uptime_seconds)"
begin=$(uptime_seconds)
largest=0
while :; do
  start=$(uptime_seconds)
  echo 3 >/proc/sys/vm/drop_caches
  find /usr/share/perl5 /usr/lib/x86_64-linux-gnu -type f -size -64k | sort | xargs cat | sha256sum
  dd if=/dev/urandom of=/var/tmp/outage bs=64k count=4 conv=fsync status=none
  largest=$(echo "$largest $start $(uptime_seconds)" | awk '{ w = $3 - $2; print (w > $1 ? w : $1) }')
  awk -v b="$begin" -v n="$(uptime_seconds)" 'BEGIN { exit n - b < 25 }' && break
done
tell largestWaitSeconds "$largest"
echo "from $before to $(uptime_seconds), largest wait $largest s"
# It has taken no notice of the cable.
if journalctl --no-pager --unit NetworkManager | grep carrier-changed; then exit 1; fi
