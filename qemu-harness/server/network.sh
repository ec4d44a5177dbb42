#!/bin/sh
# In a network namespace of its own: two networks, each a bridge with this machine at .1 and a tap
# for the virtual machine. There is no way from one to the other, and none to the outside.
set -eu
network() {
  ip link add "$1" type bridge
  ip address add "$2" dev "$1"
  ip tuntap add "$1"0 mode tap
  ip link set "$1"0 master "$1" up
  ip link set "$1" up
}
ip link set lo up
network pool 192.0.2.1/24
network other 198.51.100.1/24
echo ready
cat >/dev/null
