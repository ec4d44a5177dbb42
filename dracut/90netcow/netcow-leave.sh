#!/bin/sh
# pre-pivot hook, sourced: prepares the mounted root to live on what netcow serves.

. /lib/netcow-lib.sh

netcow_wanted || return 0
netcow boot --stage leave "$NEWROOT" || warn "netcow could not prepare the root, see its message above"
