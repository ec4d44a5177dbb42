# shellcheck shell=sh
# Run by the initramfs before it leaves, as a pre-pivot hook of dracut: plants the guest's check beside
# the image, in /run, which survives switch_root. Sourced, so it only returns; NEWROOT is the root.
plant_netcow_check() {
  mkdir -p /run/netcow-harness
  cp /usr/lib/netcow-harness/* /run/netcow-harness/
  # Elsewhere that directory would say that systemd runs.
  # shellcheck disable=SC2154 # dracut says NEWROOT, initramfs-tools rootmnt
  if [ -e "${NEWROOT:-$rootmnt}/usr/lib/systemd/systemd" ]; then
    mkdir -p /run/systemd/system/multi-user.target.wants
    mv /run/netcow-harness/netcow-check.service /run/systemd/system/
    ln -s ../netcow-check.service /run/systemd/system/multi-user.target.wants/
  fi
  if [ -e /run/netcow-harness/scenario.early.sh ]; then
    sh -eux /run/netcow-harness/scenario.early.sh >/run/netcow-harness/early.log 2>&1
    echo $? >/run/netcow-harness/early.exit
  fi
}
plant_netcow_check
