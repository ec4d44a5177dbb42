# shellcheck shell=sh
# ifupdown holds the interface for up, and its service stops without taking it down.
set -eu
systemctl is-active networking
/sbin/ifquery --state
/sbin/ifquery --state | grep ens3
systemctl stop networking
ip -brief address show ens3 | grep '10\.0\.2\.'
systemctl start networking
ip address show ens3 | grep 'valid_lft forever'
