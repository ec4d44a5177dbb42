#!/bin/sh
# A Debian server, in mount and process namespaces of its own, which take everything with them when
# this ends: serve.sh TREE DIRECTORY IMAGE EXAMPLES DNSMASQ-EXAMPLE. nginx and dnsmasq are the
# distribution's own, and the files of EXAMPLES lie where they tell their reader to put them.
set -eu
tree=$1 folder=$2/served logs=$2/logs image=$3 examples=$4 dnsmasq=$5
for directory in run tmp var/log var/lib/misc etc/nginx/sites-enabled etc/dnsmasq.d srv; do
  mkdir -p "$tree/$directory"
  mount -t tmpfs tmpfs "$tree/$directory"
done
mkdir "$tree/srv/netcow" "$tree/var/log/nginx"
mount --bind "$folder" "$tree/srv/netcow"
mount --bind "$logs" "$tree/var/log/nginx"
touch "$folder/debian.qcow2"
mount --bind "$image" "$tree/srv/netcow/debian.qcow2"
cp "$examples/nginx.conf" "$tree/etc/nginx/sites-enabled/netcow.conf"
cp "$examples/$dnsmasq" "$tree/etc/dnsmasq.d/netcow.conf"
chroot "$tree" grub-mknetdir --net-directory=/srv/netcow \
  --modules="http tftp net linux normal echo serial terminal" >/dev/null
chroot "$tree" cp /usr/lib/ipxe/undionly.kpxe /usr/lib/ipxe/ipxe.efi /srv/netcow

# Both go to the background when they listen.
chroot "$tree" nginx
chroot "$tree" dnsmasq --conf-dir=/etc/dnsmasq.d --log-dhcp --log-facility=/var/log/nginx/dnsmasq.log
# The network that the machine shall not use has a DHCP server too, and nothing else.
chroot "$tree" dnsmasq --conf-file=/dev/null --port=0 --bind-interfaces --interface=other \
  --pid-file=/run/other.pid --dhcp-leasefile=/run/other.leases \
  --dhcp-range=198.51.100.100,198.51.100.199,1h \
  --log-dhcp --log-facility=/var/log/nginx/dnsmasq-other.log
echo ready
cat >/dev/null
