#!/bin/sh
# initqueue/settled hook, sourced again and again: attaches as soon as an interface has an address.
# Network handlers that call netroot get there first; systemd-networkd in dracut 059 never does.

. /lib/netcow-lib.sh

netcow_wanted || return 0
[ ! -e /run/netcow/done ] || return 0
netcow_local || [ -n "$(ip -o address show scope global up)" ] || return 0
netcow_boot
: >/run/netcow/done
