# shellcheck shell=sh
load nbd ext4

check boots netcow boot
measure attachedSeconds "$(seconds_since_boot)"
check mounts mount /dev/nbd0 /mnt
cp /report.sh /run/report.sh
# What the root says then is in the file that the new init reads: the initramfs is empty.
cat >/run/after.sh <<'AFTER'
/bin/busybox --install -s /usr/bin
export PATH=/usr/bin:/usr/sbin
. /run/report.sh

daemon() { named @netcow; }
keeper() { named @/sh; }

# Nothing of the initramfs has a name any more, and the root has no netcow.
emptied() { [ ! -e /usr/bin/netcow ] && [ -z "$(ls /proc/1/root/.netcow 2>/dev/null)" ] && keeper && daemon; }
check emptied emptied

anonymous() { awk '$1 == "Anonymous:" { print $2 * 1024 }' "/proc/$1/smaps_rollup"; }
check keeper keeper
measure keeperAnonBytes "$(anonymous "$(keeper)")"
measure keeperRssBytes "$(awk '$1 == "Rss:" { print $2 * 1024 }' "/proc/$(keeper)/smaps_rollup")"
check daemon daemon_memory

status() { head -c 2000 /run/netcow/nbd0.json; }
check status status

killed() {
  before=$(daemon)
  kill -9 "$before"
  until now=$(daemon) && [ "$now" != "$before" ]; do sleep 1; done
  began=$(cut -d. -f1 /proc/uptime)
  echo 3 >/proc/sys/vm/drop_caches
  cmp /run/written /var_written && measure "compared $before" "$(wc -c </var_written)" && md5sum /bin/busybox /usr/sbin/mke2fs
  ended=$(cut -d. -f1 /proc/uptime)
  [ $((ended - began)) -le "$longest" ] || longest=$((ended - began))
}
spree() {
  longest=0
  dd if=/dev/urandom of=/run/written bs=64k count=64 2>/dev/null
  cp /run/written /var_written && sync && md5sum /run/written
  killed && killed || return 1
  (while [ ! -e /run/stop ]; do cp /run/written /var_again && sync && cmp /run/written /var_again || echo bad >/run/bad; done) &
  sleep 2 && killed && sleep 1 && killed || return 1
  touch /run/stop
  wait
  measure largestWaitSeconds "$longest"
  [ ! -e /run/bad ] && echo 3 >/proc/sys/vm/drop_caches && cmp /run/written /var_again &&
    measure 'compared again' "$(wc -c </var_again)"
}
check spree spree

signals() {
  for signal in STOP CONT TERM HUP INT; do kill -$signal -1; done
  sleep 1
  keeper && daemon && echo 3 >/proc/sys/vm/drop_caches && cmp /run/written /var_again
}
check signals signals
check daemon_again daemon_memory
check kernel kernel_log
printf '{"done":true}\n' >&3
sync
poweroff -f
AFTER
for mount in proc sys dev run; do mount --move /$mount /mnt/$mount; done
exec switch_root -c /dev/console /mnt /bin/busybox sh -u /run/after.sh
