# shellcheck shell=sh
# networkd must have the lease as its own, and keep the address when it stops and starts.
set -eu
systemctl is-active systemd-networkd
timeout 60 /usr/lib/systemd/systemd-networkd-wait-online --interface=ens3
networkctl --no-pager --no-legend list
networkctl --no-pager --lines=0 status ens3 | grep -E 'Network File|State|DHCP4'
grep -q '^ADDRESS=' /run/systemd/netif/leases/*
systemctl stop systemd-networkd
ip -brief address show ens3 | grep '10\.0\.2\.'
systemctl start systemd-networkd
ip -brief address show ens3 | grep '10\.0\.2\.'
if [ -e /etc/netplan/wired.yaml ]; then
  networkctl --no-pager --lines=0 status ens3 | grep 'Network File:.*10-netplan-wired.network'
fi
systemd-analyze cat-config systemd/sleep.conf | grep '^AllowSuspend=no'
if systemctl suspend 2>/run/refusal; then exit 1; fi
cat /run/refusal
