/** What `netcow check` shows, in the keys of `qemu-img check --output=json`. */
export interface CheckReport {
  readonly 'image-end-offset': number
  readonly 'total-clusters': number
  readonly 'allocated-clusters': number
  readonly 'fragmented-clusters': number
  readonly 'compressed-clusters': number
  /** What could not be checked at all. */
  readonly 'check-errors': number
  readonly corruptions: number
  /** Clusters that are counted as used, and are not; only when refcounts are looked at. */
  readonly leaks: number
  /** The first of them, in the order found. */
  readonly problems: readonly Problem[]
}

export interface Problem {
  readonly kind: 'corruption' | 'leak'
  readonly what: string
  readonly where: Readonly<Record<string, number>>
}

export interface CheckOptions {
  /** Compares every reference count with the references found; reads all refcount blocks. */
  readonly refcounts: boolean
}
