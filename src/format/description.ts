/**
 * What `netcow info` shows, in the keys and values of `qemu-img info --output=json`. What only
 * the owner of the source knows, such as its name and how the backing file was found, is his.
 */
export interface Description {
  readonly 'virtual-size': number
  readonly 'cluster-size'?: number
  readonly format: string
  readonly 'format-specific'?: FormatSpecific
  readonly encrypted?: true
  readonly 'backing-filename'?: string
  readonly 'backing-filename-format'?: string
  readonly snapshots?: readonly SnapshotDescription[]
  readonly 'dirty-flag': boolean
  /** More than qemu-img says: the header and what follows it, for those who look for causes. */
  readonly header?: HeaderDescription
}

export interface FormatSpecific {
  readonly type: string
  readonly data: Readonly<Record<string, Described>>
}

/** Anything that JSON holds. */
export type Described =
  | string
  | number
  | boolean
  | readonly Described[]
  | { readonly [key: string]: Described }

export interface SnapshotDescription {
  readonly id: string
  readonly name: string
  readonly 'vm-state-size': number
  readonly 'date-sec': number
  readonly 'date-nsec': number
  readonly 'vm-clock-sec': number
  readonly 'vm-clock-nsec': number
  readonly icount?: number
  /** More than qemu-img says: the size of the disk, which need not be that of the active one. */
  readonly 'disk-size': number
}

export interface HeaderDescription {
  /** In the words of the specification. */
  readonly fields: Readonly<Record<string, number>>
  /** The names of the bits that are set. */
  readonly features: {
    readonly incompatible: readonly string[]
    readonly compatible: readonly string[]
    readonly autoclear: readonly string[]
  }
  readonly extensions: readonly {
    readonly name: string
    readonly type: number
    readonly length: number
  }[]
}
