#!/bin/sh
# The entry of every npm command: sh build/setup.sh build|test|boot SCRIPT ARGS...
# Brings a fresh Debian or Ubuntu to where the pinned Node of node_modules can run SCRIPT.
set -eu
profile=$1
shift
cd "$(dirname "$0")/.."
PATH=$PWD/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH

say() { echo "setup: $*" >&2; }

# One line per need: the command or file that must be there, and the Debian package that brings it.
needs() {
  cat <<'NEEDS'
libatomic.so.1 libatomic1
libstdc++.so.6 libstdc++6
strip binutils
zstd zstd
NEEDS
  [ "$profile" = build ] || cat <<'NEEDS'
qemu-system-x86_64 qemu-system-x86
/usr/lib/ipxe/qemu/efi-virtio.rom ipxe-qemu
qemu-img qemu-utils
mmdebstrap mmdebstrap
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
unshare util-linux
mount mount
mke2fs e2fsprogs
sfdisk fdisk
cpio cpio
openssl openssl
ip iproute2
NEEDS
  [ "$profile" != test ] || cat <<'NEEDS'
shellcheck shellcheck
shfmt shfmt
nbdinfo libnbd-bin
dnsmasq dnsmasq-base
ip iproute2
busybox busybox
fio fio
groff groff-base
NEEDS
}

# The needs that are not met, as "need package" lines.
missing() {
  needs | while read -r need package; do
    case $need in
      /*) [ -e "$need" ] ;;
      *.so.*) ldconfig -p | grep -qF "$need" ;;
      *) command -v "$need" >/dev/null ;;
    esac || echo "$need $package"
  done
}

install_packages() {
  if [ "$(id -u)" = 0 ]; then
    sudo=
  elif [ -t 0 ]; then
    sudo=sudo
  else
    sudo='sudo -n'
  fi
  for tool in apt-get $sudo; do
    [ "$tool" = -n ] || command -v "$tool" >/dev/null || return 0
  done
  packages=$(missing | cut -d' ' -f2 | tr '\n' ' ')
  say "installing from the distribution: $packages"
  # shellcheck disable=SC2086 # words are meant
  {
    $sudo apt-get update -q &&
      $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $packages
  } >&2 || say 'apt-get failed'
}

if [ -n "$(missing)" ]; then
  install_packages
  if [ -n "$(missing)" ]; then
    say 'these are missing (what, and the Debian package that has it):'
    missing | sed 's/^/  /' >&2
    say 'install them, or run this as root or with sudo on Debian or Ubuntu'
    exit 2
  fi
fi

stamp=node_modules/.netcow-installed
if ! cmp -s package-lock.json "$stamp"; then
  say 'installing the npm packages of package-lock.json'
  npm ci --include=dev --include=optional --loglevel=error >&2
  cp package-lock.json "$stamp"
fi

# The pinned Node is a package for each architecture, which not every npm links into .bin.
case $(uname -m) in
  x86_64) architecture=x64 ;;
  aarch64) architecture=arm64 ;;
  *) architecture=$(uname -m) ;;
esac
[ -x "node_modules/node-linux-$architecture/bin/node" ] || {
  say "npm installed no Node for $architecture: there are packages for x64 and arm64 only"
  exit 2
}
ln -sfn "../node-linux-$architecture/bin/node" node_modules/.bin/node
# That node:ffi is experimental is settled by pinning the exact version of Node.
exec node_modules/.bin/node --disable-warning=ExperimentalWarning "$@"
