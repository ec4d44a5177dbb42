#!/bin/sh
# cmdline hook, sourced: tells dracut that netcow knows this root, and that a network is needed.
# shellcheck disable=SC2034 # dracut reads root, rootok and netroot

. /lib/netcow-lib.sh

netcow_wanted || netcow_may_come || return 0
# See module-setup.sh. systemd from 256 on makes /usr read-only in the initramfs.
for netcow_file in /usr/bin/netcow /usr/sbin/netcow /usr/local/bin/netcow; do
  if [ -e "$netcow_file" ] && ! chmod +x "$netcow_file" 2>/dev/null; then
    mount -o remount,bind,rw /usr
    chmod +x "$netcow_file"
    mount -o remount,bind,ro /usr
  fi
done
netcow boot --stage check || die "netcow does not understand the kernel command line"
netcow_words=$(netcow_emergency_words)
[ -z "$netcow_words" ] || echo "$netcow_words" >/etc/cmdline.d/96-netcow-onfail.conf

if netcow_wanted; then
  if netcow_finds_root; then
    root=block:/dev/netcow/root
  fi
  rootok=1
  # Without this the queue would end before there is a network.
  # shellcheck disable=SC2154 # dracut sets it
  echo '[ -e /run/netcow/done ]' >"$hookdir/initqueue/finished/netcow.sh"
  netcow_local && return 0

  # The network handlers bring their interfaces up for a netroot, and call /sbin/netcowroot.
  [ -n "$netroot" ] || netroot=netcow:
fi

# As systemd-import does: a network in any case, by DHCP unless the user said how.
echo rd.neednet=1 >>/etc/cmdline.d/95-netcow.conf
netcow_ip=$(getarg ip=)
[ -n "$netcow_ip" ] || echo ip=dhcp >>/etc/cmdline.d/95-netcow.conf
[ -x /usr/lib/systemd/systemd-networkd ] || return 0

# $1 is a name that comes behind those of the image, since /run outlives the initramfs; $2 what the
# cards have in common, $3 is done with them.
netcow_network() {
  mkdir -p /run/systemd/network
  printf '[Match]\n%s\n%s\n' "$2" "$3" >"/run/systemd/network/$1.network"
}
netcow_cards='Kind=!*
Type=!loopback'
netcow_dhcp='[Network]
DHCP=yes
[DHCPv4]
ClientIdentifier=mac
RequestOptions=17'
netcow_bootif=$(getarg BOOTIF= | sed 's/^..[-:]\(..[-:]..[-:]..[-:]..[-:]..[-:]..\)$/\1/; s/-/:/g')
case $netcow_ip in
  '' | dhcp | on | any)
    if [ -n "$netcow_bootif" ]; then
      # networkd takes every card; with BOOTIF= it is only the one that the boot loader came by.
      rm -f /run/systemd/network/??-default.network
      netcow_network zzzz-bootif "MACAddress=$netcow_bootif" "$netcow_dhcp"
      netcow_network zzzz-cards "$netcow_cards" '[Link]
Unmanaged=yes'
      systemctl --no-block try-restart systemd-networkd.service
    elif [ -z "$netcow_ip" ] && [ ! -e /etc/systemd/network/zzzz-dracut-default.network ]; then
      # networkd reads only the kernel's own command line; newer dracut brings such a file itself.
      netcow_network zzzz-netcow "$netcow_cards" "$netcow_dhcp"
      systemctl --no-block try-restart systemd-networkd.service
    fi
    ;;
esac
