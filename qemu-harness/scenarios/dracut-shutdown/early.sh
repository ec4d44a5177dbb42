# shellcheck shell=sh
# What the image would have in its /boot: this initramfs, without what is of no use at the end. Of an
# archive that is not compressed dracut skips all, taking it for microcode.
# shellcheck disable=SC2154 # dracut sets NEWROOT
mount --bind / "$NEWROOT/mnt"
# There is no chroot in it, and that of the image is linked with libraries of the image.
libraries=$NEWROOT/usr/lib/x86_64-linux-gnu
# shellcheck disable=SC2016 # the other shell expands it
"$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$NEWROOT/usr/sbin/chroot" "$NEWROOT" \
  /bin/sh -euc 'cd /mnt && find . -xdev \( -path "./usr/lib/modules" -o -path "./usr/lib/firmware" \
  -o -name netcow \) -prune -o -print | cpio -o -H newc | gzip -1 >"/boot/initrd.img-$(uname -r)"'
umount "$NEWROOT/mnt"
# As dracut does for the modules that need it.
: >/run/initramfs/.need_shutdown
