# shellcheck shell=sh
# As a build does: several at a time read much, write a little, and hold what they can get. What is
# left of memory is taken again and again until something has to give; that is never the daemon.
set -eu
uptime_seconds() { cut -d' ' -f1 /proc/uptime; }
available() { awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo; }
daemon() { pgrep --full --oldest '^@netcow'; }

before=$(daemon)
begin=$(uptime_seconds)
largest=0
for round in 1 2; do
  start=$(uptime_seconds)
  # tail keeps a line that does not end; the last one asks for more than there is.
  head -c "$(($(available) + (round > 1 ? 64 : -80)))M" /dev/zero | tail >/dev/null &
  hog=$!
  for part in bin lib/x86_64-linux-gnu lib/systemd share; do
    (find "/usr/$part" -type f | head -n 300 | xargs cat | gzip -1 | tail -c 1m >"/var/tmp/$$.${part%%/*}") &
  done
  wait "$hog" || true
  wait
  sync
  rm -f /var/tmp/$$.*
  fstrim / 2>/dev/null || true
  largest=$(echo "$largest $start $(uptime_seconds)" | awk '{ w = $3 - $2; print (w > $1 ? w : $1) }')
done
[ "$(daemon)" = "$before" ]
[ "$(cat "/proc/$before/oom_score_adj")" = -1000 ]
printf '{"measure":"largestWaitSeconds","value":%s}\n' "$largest" >/dev/ttyS1
echo "$(awk '$1 == "oom_kill" { print $2 }' /proc/vmstat) processes killed, none of ours; $begin to $(uptime_seconds)"
