# shellcheck shell=sh
# Runs in the guest once it has reached multi-user, and reports to the second serial port: lines
# of JSON, one for each thing it looked at, and a last one that says it is done.
# /run/netcow-harness/mode, which the host wrote, says what comes then: check powers off, reboot
# restarts, demo stays up.
set -u
here=/run/netcow-harness
# shellcheck source=qemu-harness/guest/report.sh
. "$here/report.sh"

# The root file system lies on a network block device, or on an overlayfs above one.
root_device() {
  findmnt --noheadings --raw --output SOURCE,FSTYPE,OPTIONS /
  source=$(findmnt --noheadings --raw --output SOURCE /)
  case $source in
    /dev/nbd*) return 0 ;;
    overlay* | LiveOS_rootfs) grep -q '^/dev/nbd' /proc/mounts || ls -d /sys/block/nbd*/pid ;;
    *) lsblk --noheadings --inverse --list --output NAME "$source" | grep '^nbd' ;;
  esac
}

drop_caches() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# What is written must be read back from the device, not from the page cache.
write_and_read() {
  file=/var/lib/netcow-harness
  dd if=/dev/urandom of="$here/written" bs=64k count=16 status=none
  cp "$here/written" "$file" && drop_caches
  cmp "$here/written" "$file" && rm "$file" "$here/written" && drop_caches
}

checksums() {
  cd / && sha256sum --check --strict --quiet "$here/manifest" && wc -l <"$here/manifest"
}

# Everything that was to be started is started or has failed.
failed_units() {
  [ -d /run/systemd/system ] || { echo 'no systemd' && return 0; }
  systemctl is-system-running --wait >/dev/null
  failed=$(systemctl list-units --state=failed --plain --no-legend | cut -d' ' -f1)
  [ -z "$failed" ] || { echo "$failed" && return 1; }
}

attached() {
  milliseconds=$(sed -n 's/.*"attachedAtUptimeMs": *\([0-9.]*\).*/\1/p' /run/netcow/nbd0.json)
  measure attachedSeconds "$(awk -v ms="$milliseconds" 'BEGIN { print ms / 1000 }')"
}

measure multiUserSeconds "$(seconds_since_boot)"
check attached attached
check root root_device
check units failed_units
mode=$(cat "$here/mode")
# Once is enough for what every boot reads again.
if [ "$mode" != reboot ]; then
  check write write_and_read
  [ ! -s "$here/manifest" ] || check checksums checksums
fi
for extra in "$here"/*.check.sh; do
  [ ! -e "$extra" ] || check "$(basename "$extra" .check.sh)" sh "$extra"
done
# Behind what the scenario has asked of it.
check daemon daemon_memory
check kernel kernel_log
measure doneSeconds "$(seconds_since_boot)"
printf '{"done":true}\n' >&3
case $mode in
  check) poweroff ;;
  reboot) reboot ;;
esac
