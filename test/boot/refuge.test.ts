import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * An initramfs in a namespace, with Node in the place of netcow, that makes a refuge; then what each
 * kind of switch_root does to it. $1 is the repository, $2 Node, $3 whether that unmounts first, $4 an
 * empty directory.
 */
const INITRAMFS = `
set -e
# Of the program that runs the tests, for whom there is nothing in there.
unset NODE_OPTIONS
mount -t tmpfs tmpfs "$4"
cd "$4"
mkdir -p usr/bin usr/lib usr/lib64 proc run/initramfs "./$1" new
ln -s usr/lib lib
ln -s usr/lib64 lib64
cp "$2" usr/bin/node
for library in $(ldd "$2" | sed -n 's/.* => \\(\\/[^ ]*\\) .*/\\1/p; s/^[^=]*\\(\\/lib64[^ ]*\\) .*/\\1/p'); do
  mkdir -p "./$(dirname "$library")"
  cp -L "$library" "./$library"
done
mount --rbind "$1" "./$1"
mount -t proc proc proc
mount -t tmpfs tmpfs run
mkdir run/initramfs
touch run/initramfs/kept
# A file that was deleted in an overlayfs.
mkdir run/initramfs/overlay
mknod run/initramfs/overlay/deleted c 0 0
# As systemd does it.
mount --make-rshared .
chroot . /usr/bin/node --input-type=module --eval "
  import { makeRefuge } from '$1/src/boot/refuge.ts'
  makeRefuge($3)
"
`

/** Deletes what it finds on its own file system; then the refuge is shown without its mounts. */
const FILE_BY_FILE = `
rm -rf --one-file-system usr lib lib64 netcow || true
[ ! -e usr/bin/node ]
mkdir shown
mount --bind run/initramfs shown
cd shown
`
/** Unmounts what is not in the new root first; the refuge is moved there with its mounts. */
const UNMOUNTS_FIRST = `
mount --make-rprivate .
mount --rbind run new
umount -l netcow run "./$1"
rm -rf --one-file-system usr lib lib64 netcow 2>/dev/null || true
[ ! -e usr/bin/node ]
cd new/initramfs
`
const RUNS = `
[ -e kept ] && [ ! -e overlay ]
# Where systemd mounts things without making directories for them.
[ -d dev ] && [ -d sys ] && [ -d run ] && [ -d oldroot ]
mount -t proc proc proc
exec chroot . /shutdown --print '"alive as " + process.execPath'
`

const skip = process.getuid?.() === 0 ? false : 'only root may make namespaces'

async function afterwards(switchRoot: string, unmountsFirst: boolean): Promise<string> {
  const script = [INITRAMFS, switchRoot, RUNS].join('')
  const directory = await mkdtemp(join(tmpdir(), 'netcow-refuge-'))
  try {
    const unshare = ['--mount', '--pid', '--fork', 'bash', '-c', script, 'bash']
    const args = [...unshare, resolve('.'), process.execPath, `${unmountsFirst}`, directory]
    return (await promisify(execFile)('unshare', args)).stdout
  } finally {
    await rm(directory, { recursive: true })
  }
}

t.test('a switch_root that deletes file by file leaves the refuge', { skip }, async (t) => {
  t.equal(await afterwards(FILE_BY_FILE, false), 'alive as /shutdown\n')
})

t.test('a switch_root that unmounts first leaves it, too', { skip }, async (t) => {
  t.equal(await afterwards(UNMOUNTS_FIRST, true), 'alive as /shutdown\n')
})
