#!/bin/sh
# dracut's netroot calls it when an interface is up: netcowroot INTERFACE NETROOT NEWROOT.

. /lib/netcow-lib.sh

netcow_boot "$2"
: >/run/netcow/done

# With root=dhcp nobody else mounts what netcow has found.
netcow_may_come && netcow_finds_root || exit 0
eval "$(netcow boot --stage variables)"
# shellcheck disable=SC2154 # netcow has said them
if ! ismounted "$3"; then
  options=$(getarg rootflags=)
  type=$(getarg rootfstype=)
  mount -t "${type:-auto}" -o "$netcow_mode${options:+,$options}" "$netcow_root" "$3" ||
    netcow_give_up "netcow cannot mount the root"
fi
