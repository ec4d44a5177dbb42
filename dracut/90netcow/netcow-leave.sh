#!/bin/sh
# pre-pivot hook, sourced: prepares the mounted root to live on what netcow serves.

[ -e /run/netcow/nbd0.json ] || return 0
netcow boot --stage leave "$NEWROOT" || warn "netcow could not prepare the root, see its message above"
