# shellcheck shell=sh
load nbd ext4

daemon() { sed -n 's/.*"pid":\([0-9]*\).*/\1/p' /run/netcow/nbd0.json; }

# shellcheck disable=SC2154 # of the kernel command line
attach() { netcow attach --cache 1M "$url" && mount -o ro /dev/nbd0 /mnt && netcow list; }
check attach attach
measure attachedSeconds "$(seconds_since_boot)"

# All that a process of root can be told, but for SIGKILL.
signals() {
  for signal in STOP CONT TERM HUP INT USR2 PIPE; do kill -$signal "$(daemon)"; done
  sleep 1
  cmp /bin/busybox /mnt/bin/busybox && kill -0 "$(daemon)"
}
check signals signals

refused() { ! netcow detach /dev/nbd0 && ! netcow attach --resume /dev/nbd0; }
check refused refused

flushers() {
  # PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE, of every thread.
  for thread in /proc/"$(daemon)"/task/*; do
    flags=$(cut -d' ' -f9 "$thread/stat")
    [ $((flags & 0x80000)) != 0 ] || { echo "$thread $flags" && return 1; }
  done
  grep -E 'VmLck|CapEff' "/proc/$(daemon)/status"
  [ "$(cat "/proc/$(daemon)/oom_score_adj")" = -1000 ]
}
check flushers flushers

# Reads are under way all the time; the longest of them is what the kill cost.
resumed() {
  before=$(daemon)
  echo 3 >/proc/sys/vm/drop_caches
  (
    longest=0
    until [ -e /run/stop ]; do
      began=$(cut -d' ' -f1 /proc/uptime)
      echo 3 >/proc/sys/vm/drop_caches
      find /mnt -type f -exec cat {} + | md5sum >>/run/sums
      ended=$(cut -d' ' -f1 /proc/uptime)
      longest=$(echo "$longest $began $ended" | awk '{ t = $3 - $2; print t > $1 ? t : $1 }')
      echo "$longest" >/run/longest
    done
  ) &
  reader=$!
  until [ -s /run/sums ]; do sleep 1; done
  for pause in 2 1 3; do
    sleep $pause
    kill -9 "$(daemon)"
    netcow list
    netcow attach --resume /dev/nbd0 || return 1
    [ "$(daemon)" != "$before" ] || return 1
    before=$(daemon)
  done
  touch /run/stop
  wait $reader
  measure largestWaitSeconds "$(cat /run/longest)"
  [ "$(sort -u /run/sums | wc -l)" = 1 ] && wc -l </run/sums
}
check resumed resumed
check status netcow status
check daemon daemon_memory

detach() { umount /mnt && netcow detach /dev/nbd0 && [ -z "$(netcow list)" ]; }
check detach detach
