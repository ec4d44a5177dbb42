/** A file on a local disk: which file system, and the path in it. */
export interface DeviceFile {
  readonly disk: Disk
  /** Absolute, from the root of that file system. */
  readonly path: string
}

/** A whole disk, or a file on it. */
export interface DiskPlace {
  readonly disk: Disk
  /** Absolute, from the root of its file system; absent for the whole disk. */
  readonly path?: string
}

/** A block device, by its name or by a tag that blkid knows it by. */
export type Disk =
  | { readonly kind: 'path'; readonly path: string }
  | { readonly kind: 'tag'; readonly tag: Tag; readonly value: string }

const TAGS = ['LABEL', 'UUID', 'PARTLABEL', 'PARTUUID'] as const
export type Tag = (typeof TAGS)[number]

/** `LABEL=X:/PATH`, another tag, or `/dev/X:/PATH`; undefined for anything else. */
export function parseDeviceFile(text: string): DeviceFile | undefined {
  // A label may have a colon in it; the path begins at the first one that a slash follows.
  const [, name = '', path] = /^(.+?):(\/.*[^/])$/.exec(text) ?? []
  const disk = parseDisk(name)
  return disk === undefined || path === undefined ? undefined : { disk, path }
}

/** `LABEL=X`, another tag or `/dev/X`, with or without `:/PATH`; undefined for anything else. */
export function parseDiskPlace(text: string): DiskPlace | undefined {
  const file = parseDeviceFile(text)
  if (file !== undefined) return file
  const disk = parseDisk(text)
  return disk === undefined ? undefined : { disk }
}

function parseDisk(text: string): Disk | undefined {
  if (/^\/dev\/[^:]+$/.test(text)) return { kind: 'path', path: text }
  const [, word, value] = /^([A-Z]+)=(.+)$/.exec(text) ?? []
  const tag = TAGS.find((known) => known === word)
  return tag === undefined || value === undefined ? undefined : { kind: 'tag', tag, value }
}

export function shownDisk(disk: Disk): string {
  return disk.kind === 'path' ? disk.path : `${disk.tag}=${disk.value}`
}
