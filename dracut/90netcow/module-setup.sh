#!/bin/bash
# Puts netcow into the initramfs: the executable, the nbd driver, a network, and the hooks that call it.
# shellcheck disable=SC2154 # dracut sets moddir, initdir, systemdutildir, hostonly and mount_needs

check() {
  require_binaries netcow blkid || return 1
  if ldd "$(find_binary netcow)" | grep -F 'not found' >&2; then
    derror "netcow misses shared libraries: install libatomic1 and libstdc++6"
    return 1
  fi
  # Into an image for this machine if its root is ours, else when asked for: dracut --add netcow.
  [[ $hostonly || $mount_needs ]] && root_is_ours && return 0
  return 255
}

# Whether the root lies on a device that netcow serves, whatever is between them.
root_is_ours() {
  # shellcheck disable=SC2317 # the next line has it called
  is_ours() {
    [[ -e /sys/dev/block/$1/backend && $(<"/sys/dev/block/$1/backend") == netcow ]]
  }
  for_each_host_dev_and_slaves is_ours && return 0
  # dracut knows no device of an overlay, as rd.overlay makes one.
  [[ $(findmnt --noheadings --output FSTYPE /) == overlay ]] &&
    grep -qsx netcow /sys/block/nbd*/backend
}

depends() {
  echo network rootfs-block
}

installkernel() {
  # The file systems that an image may lie on as a file.
  instmods nbd vfat exfat ntfs3 ext4 xfs btrfs iso9660 udf nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
}

install() {
  inst_multiple netcow blkid ip cat chmod ln mkdir
  # What rd.emergency= calls when the queue gives up, which no module of dracut's brings.
  inst_multiple -o poweroff reboot halt
  if dracut_module_included systemd; then
    local action
    for action in poweroff reboot halt; do
      [[ -e $initdir/usr/sbin/$action || -L $initdir/usr/sbin/$action ]] || ln -s ../bin/systemctl "$initdir/usr/sbin/$action"
    done
  fi
  # strip, which dracut runs over every executable file, would destroy this one: its code lies behind
  # the last section. The first hook makes it executable, and its libraries are brought here, since
  # dracut resolves only those of executable files.
  chmod a-x "$initdir$(find_binary netcow)"
  # shellcheck disable=SC2046 # words are meant
  inst_multiple $(ldd "$(find_binary netcow)" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p')
  # What this machine trusts, for https: distributions keep it in different places.
  inst_multiple -o /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem
  inst_hook cmdline 90 "$moddir/netcow-cmdline.sh"
  inst_hook pre-pivot 95 "$moddir/netcow-leave.sh"
  inst_hook initqueue/settled 98 "$moddir/netcow-attach.sh"
  inst_hook initqueue/timeout 98 "$moddir/netcow-timeout.sh"
  inst_script "$moddir/netcowroot.sh" /sbin/netcowroot
  inst_simple "$moddir/netcow-lib.sh" /lib/netcow-lib.sh
  if dracut_module_included systemd-initrd; then
    inst_script "$moddir/netcow-generator.sh" "$systemdutildir/system-generators/dracut-netcow-generator"
  fi
  dracut_need_initqueue
}
