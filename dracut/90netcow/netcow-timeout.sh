#!/bin/sh
# initqueue/timeout hook, sourced again and again: says what the queue is still waiting for.

. /lib/netcow-lib.sh

netcow_wanted || netcow_may_come || return 0
[ ! -e /run/netcow/done ] || return 0
[ ! -e /run/netcow/timeout ] || return 0
mkdir -p /run/netcow
: >/run/netcow/timeout
if [ -z "$(ip -o address show scope global up)" ]; then
  warn 'netcow: no network card has an address yet; look at the cable, the DHCP server, and ip='
else
  warn 'netcow: there is a network, but nothing has said where the image is'
fi
