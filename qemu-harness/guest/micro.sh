#!/bin/busybox sh
# shellcheck shell=dash
# The first process of a micro guest: makes a system of busybox and what lies beside it, runs the
# scenario's script, and reports as check.sh does in whole systems. The word url= of the kernel
# command line, which is the address of the scenario's image, is a variable here.
set -u
/bin/busybox --install -s /usr/bin
export PATH=/usr/bin:/usr/sbin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /run
ln -s /proc/self/fd /dev/fd

# shellcheck source=qemu-harness/guest/report.sh
. /report.sh

# load GROUP...: the modules of a group, each behind those that it needs.
load() {
  for group in "$@"; do
    while read -r module; do
      [ -e "/sys/module/$(echo "${module%.ko}" | tr - _)" ] || insmod "/modules/$module"
    done <"/modules/$group.list"
  done
}

# address PATH: where the scenario's server has another file.
# shellcheck disable=SC2154 # of the kernel command line
address() { echo "${url%/*}$1"; }

load base
ip link set lo up
ip link set eth0 up
ip address add 10.0.2.15/24 dev eth0
ip route add default via 10.0.2.2

. /scenario.sh

check kernel kernel_log
measure doneSeconds "$(seconds_since_boot)"
printf '{"done":true}\n' >&3
sync
poweroff -f
