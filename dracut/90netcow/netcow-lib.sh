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

# Words that let dracut end a boot that fails as rd.netcow.onfail says, where it is dracut that gives up: no
# network, or a root that cannot be mounted. None if the user has said himself what dracut is to do, or wants
# to stop on the way: dracut would do it behind that shell, too.
netcow_emergency_words() {
  netcow_end=
  for netcow_word in $(getcmdline); do
    case $netcow_word in
      rd.emergency=* | rd.shell | rd.shell=* | rd.break | rd.break=*) return 0 ;;
      rd.netcow.onfail=* | netcow.onfail=*) netcow_end=${netcow_word#*=} ;;
    esac
  done
  case $netcow_end in
    reboot | poweroff) echo "rd.emergency=$netcow_end rd.shell=0" ;;
  esac
}

# Gives the boot up for the reason $1. die alone would never restart.
netcow_give_up() {
  case $(getarg rd.netcow.onfail=),$(getarg netcow.onfail=) in
    *reboot* | *poweroff*) emergency_shell "$1" ;;
  esac
  die "$1"
}

# Attaches the image unless that is done; $1 is what netroot said, if anything.
# netcow says on the console what is wrong, waits for what may come, and returns when it is settled.
netcow_boot() {
  netcow boot ${1:+"$1"} || die "netcow cannot attach the root, see its message above"
}
