# shellcheck shell=sh
# Configuration of initramfs-tools, which is shell that its init sources before anything else: adds
# the guest's part to the end of the scripts that run before it leaves, and when it panics.
# shellcheck disable=SC2016 # it is for later
echo 'NEWROOT=$rootmnt && . /usr/lib/netcow-harness/plant.sh' >>/scripts/init-bottom/ORDER
mkdir -p /scripts/panic
# A shell that was asked for by break= is no emergency.
echo 'grep -q break= /proc/cmdline || { . /usr/lib/netcow-harness/emergency.sh && poweroff -f; }' \
  >>/scripts/panic/ORDER
