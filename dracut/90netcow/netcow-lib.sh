#!/bin/sh
# What the hooks share; sourced by them.

command -v getarg >/dev/null || . /lib/dracut-lib.sh

# Whether the kernel command line, or dracut's own additions to it, speak of netcow.
netcow_wanted() {
  # With root=dhcp, dracut's netroot reads the hooks again with what the server said in $netroot.
  # shellcheck disable=SC2154 # dracut sets it
  for netcow_word in $(getcmdline) "netroot=$netroot"; do
    case $netcow_word in
      root=netcow:* | netroot=netcow:* | rd.netcow=* | netcow=*) return 0 ;;
    esac
  done
  return 1
}

# Whether the image is a file on a local disk, so that no network is needed for it. The last word counts.
netcow_local() {
  netcow_remote=1
  for netcow_word in $(getcmdline); do
    case $netcow_word in
      root=netcow:* | netroot=netcow:* | rd.netcow=* | netcow=*) ;;
      *) continue ;;
    esac
    case ${netcow_word#*netcow[=:]} in
      LABEL=* | UUID=* | PARTLABEL=* | PARTUUID=* | /dev/*) netcow_remote=0 ;;
      *) netcow_remote=1 ;;
    esac
  done
  return "$netcow_remote"
}

# Whether a DHCP server is to say where the root is.
netcow_may_come() {
  case $(getarg root=),$(getarg netroot=) in
    dhcp* | *,dhcp*) return 0 ;;
  esac
  return 1
}

# Whether netcow is to find the root in the image by itself.
netcow_finds_root() {
  case $(getarg root=) in
    '' | netcow:* | dhcp | dhcp6) return 0 ;;
  esac
  return 1
}

# Whether the device is read-only, as dracut's overlayfs wants it.
netcow_read_only() {
  case $(getarg rd.netcow.overlay=),$(getarg netcow.overlay=) in
    none, | *,none) return 0 ;;
  esac
  return 1
}

# How the root is to be mounted. The overlay takes the writes, so it is writable unless the user says ro
# last, or wants no overlay.
netcow_mode() {
  netcow_mode=rw
  for netcow_word in $(getcmdline); do
    case $netcow_word in
      ro | rw) netcow_mode=$netcow_word ;;
    esac
  done
  if netcow_read_only; then netcow_mode=ro; fi
  echo "$netcow_mode"
}

# Attaches the image unless that is done; $1 is what netroot said, if anything.
# netcow says on the console what is wrong, waits for what may come, and returns when it is settled.
netcow_boot() {
  netcow boot ${1:+"$1"} || die "netcow cannot attach the root, see its message above"
}
