#!/bin/sh
# systemd generator: sysroot.mount for a root that netcow finds by itself. systemd's own generators
# would take root=netcow:URL for the name of a device; units in the early directory win over theirs.

. /lib/netcow-lib.sh

netcow_wanted || exit 0

early=$2
# netcow itself waits for the server, for as long as it takes; then the devices are there.
mkdir -p "$early/device.d"
cat >"$early/device.d/netcow.conf" <<UNIT
[Unit]
JobTimeoutSec=0
JobRunningTimeoutSec=infinity
UNIT

netcow_finds_root || exit 0
options=$(getarg rootflags=)
mode=$(netcow_mode)
type=$(getarg rootfstype=)

mkdir -p "$early/initrd-root-fs.target.requires"
cat >"$early/sysroot.mount" <<UNIT
[Unit]
Description=Root file system on netcow
Before=initrd-root-fs.target
After=dracut-pre-mount.service

[Mount]
What=/dev/netcow/root
Where=/sysroot
Type=${type:-auto}
Options=$mode${options:+,$options}
UNIT
ln -s ../sysroot.mount "$early/initrd-root-fs.target.requires/sysroot.mount"
