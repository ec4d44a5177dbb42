#!/bin/sh
# dracut's netroot calls it when an interface is up: netcowroot INTERFACE NETROOT NEWROOT.

. /lib/netcow-lib.sh

netcow_boot "$2"
: >/run/netcow/done
