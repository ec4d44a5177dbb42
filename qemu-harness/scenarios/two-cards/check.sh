# shellcheck shell=sh
# The card that the firmware started from has an address; the other one, which could have one from a
# DHCP server of its own, has none.
bootif=$(sed -n 's/.*BOOTIF=01-\([-0-9a-f]*\).*/\1/p' /proc/cmdline | tr - :)
[ -n "$bootif" ]
addressed=
for card in /sys/class/net/e*; do
  name=$(basename "$card")
  echo "$name $(cat "$card/address") $(ip -o -4 address show dev "$name" | cut -d' ' -f7)"
  [ -z "$(ip -o -4 address show dev "$name")" ] || addressed="$addressed$(cat "$card/address")"
done
[ "$addressed" = "$bootif" ]
