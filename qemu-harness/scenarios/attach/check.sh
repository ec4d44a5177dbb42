# shellcheck shell=sh
cat /run/netcow-harness/early.log
exit "$(cat /run/netcow-harness/early.exit)"
