# shellcheck shell=sh
set -eu
[ "$(cat /proc/1/comm)" = init ]
/sbin/ifquery --state | grep ens3
cat /run/sendsigs.omit.d/netcow-nbd0
