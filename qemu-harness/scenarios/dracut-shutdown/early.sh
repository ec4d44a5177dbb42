# shellcheck shell=sh
# What the image would have in its /boot: this initramfs, without what is of no use at the end.
# shellcheck disable=SC2154 # dracut sets NEWROOT
mount --bind / "$NEWROOT/mnt"
# There is no chroot in it.
# shellcheck disable=SC2016 # the other shell expands it
systemd-run --quiet --wait --property=RootDirectory="$NEWROOT" /bin/sh -euc 'cd /mnt && find . -xdev \( -path "./usr/lib/modules" -o -path "./usr/lib/firmware" \
  -o -name netcow \) -prune -o -print | cpio -o -H newc >"/boot/initrd.img-$(uname -r)"'
umount "$NEWROOT/mnt"
# As dracut does for the modules that need it.
: >/run/initramfs/.need_shutdown
