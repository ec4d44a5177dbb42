#!/bin/bash
# Puts netcow into the initramfs: the executable, the nbd driver, a network, and the hooks that call it.
# shellcheck disable=SC2154 # dracut sets moddir, initdir and systemdutildir

check() {
  require_binaries netcow blkid || return 1
  # Only when asked for: dracut --add netcow.
  return 255
}

depends() {
  echo network rootfs-block
}

installkernel() {
  instmods nbd
}

install() {
  inst_multiple blkid ip
  inst netcow /usr/bin/netcow
  # strip, which dracut runs over every executable file, would destroy this one: its code lies behind
  # the last section. The first hook makes it executable.
  chmod a-x "$initdir/usr/bin/netcow"
  inst_hook cmdline 90 "$moddir/netcow-cmdline.sh"
  inst_hook initqueue/settled 98 "$moddir/netcow-attach.sh"
  inst_script "$moddir/netcowroot.sh" /sbin/netcowroot
  inst_simple "$moddir/netcow-lib.sh" /lib/netcow-lib.sh
  if dracut_module_included systemd-initrd; then
    inst_script "$moddir/netcow-generator.sh" "$systemdutildir/system-generators/dracut-netcow-generator"
  fi
  dracut_need_initqueue
}
