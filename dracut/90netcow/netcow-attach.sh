#!/bin/sh
# initqueue/settled hook, sourced again and again: attaches as soon as an interface has an address.
# Network handlers that call netroot get there first; systemd-networkd in dracut 059 never does.

. /lib/netcow-lib.sh

netcow_wanted || netcow_may_come || return 0
[ ! -e /run/netcow/done ] || return 0
netcow_local || [ -n "$(ip -o address show scope global up)" ] || return 0
if netcow_wanted; then
  netcow_boot
  : >/run/netcow/done
  return 0
fi
cat /run/systemd/netif/leases/* 2>/dev/null | while read -r netcow_line; do
  case $netcow_line in
    ROOT_PATH=netcow:*) /sbin/netcowroot '' "${netcow_line#*=}" "$NEWROOT" ;;
  esac
done
