/** A file of an archive: its path without a leading slash, and what is in it. */
export interface ArchiveFile {
  readonly path: string
  readonly content: Uint8Array
  /** Permissions; 0644 unless said. */
  readonly mode?: number
}

const MAGIC = '070701'
const DIRECTORY = 0o040755
const FILE = 0o100000
const PERMISSIONS = 0o644
/** Headers and contents start at multiples of this, counted from the start of the archive. */
const ALIGNMENT = 4

/**
 * A cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format in
 * Linux), of root's directories and files. The kernel unpacks archives that follow each other in an
 * initramfs over one another, so this adds files to one without changing it. Other directories must
 * exist: a directory of the archive would replace a symbolic link of that name.
 */
export function archive(directories: readonly string[], files: readonly ArchiveFile[]): Buffer {
  const entries = [
    ...directories.map((path) => entry(path, DIRECTORY, new Uint8Array())),
    ...files.map(({ path, content, mode = PERMISSIONS }) => entry(path, FILE | mode, content)),
    entry('TRAILER!!!', 0, new Uint8Array()),
  ]
  return Buffer.concat(entries)
}

/** `bytes` with zeroes up to where another archive may follow. */
export function padded(bytes: Uint8Array): Buffer {
  const rest = (ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT
  return Buffer.concat([bytes, Buffer.alloc(rest)])
}

function entry(path: string, mode: number, content: Uint8Array): Buffer {
  const name = Buffer.from(`${path}\0`)
  const fields = {
    ino: 0,
    mode,
    uid: 0,
    gid: 0,
    nlink: 1,
    mtime: 0,
    filesize: content.length,
    devmajor: 0,
    devminor: 0,
    rdevmajor: 0,
    rdevminor: 0,
    namesize: name.length,
    check: 0,
  }
  const header = Object.values(fields).map((value) => value.toString(16).padStart(8, '0'))
  const head = Buffer.concat([Buffer.from(MAGIC + header.join('')), name])
  return Buffer.concat([padded(head), padded(content)])
}
