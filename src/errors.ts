/**
 * Everything that can go wrong outside of our own code, sorted by what the user can do about it.
 * Anything else that is thrown is our bug, and ends with exit code 1.
 */

/** What every failure carries: what failed, where, and what to do. */
export interface Failure {
  /** Where it failed, as `offset`, `length`, `url`, `path` and the like, in the order to print. */
  readonly where?: Readonly<Record<string, string | number>>
  /** What the user can do, as a clause without a full stop. */
  readonly advice?: string
  readonly cause?: unknown
}

abstract class NetcowError extends Error {
  abstract readonly exitCode: 2 | 3 | 4 | 5
  readonly advice: string | undefined
  #where: Readonly<Record<string, string | number>>

  constructor(what: string, failure: Failure = {}) {
    super(what, failure.cause === undefined ? undefined : { cause: failure.cause })
    this.name = new.target.name
    this.#where = failure.where ?? {}
    this.advice = failure.advice
  }

  get where(): Readonly<Record<string, string | number>> {
    return this.#where
  }

  /** Adds what only the layers above know, such as the URL of the file that an offset lies in. */
  within(places: Readonly<Record<string, string | number>>): this {
    this.#where = { ...places, ...this.#where }
    return this
  }

  /** The one line that a user sees: what, where, what to do. */
  get line(): string {
    const advice = this.advice === undefined ? '' : `; ${this.advice}`
    return `${this.lineWithoutAdvice}${advice}`.replaceAll(/\s+/g, ' ')
  }

  /** What and where. */
  get lineWithoutAdvice(): string {
    const places = Object.entries(this.#where).map(([name, value]) => `${name} ${value}`)
    const where = places.length > 0 ? ` (${places.join(', ')})` : ''
    return `${this.message}${where}`
  }
}
export type { NetcowError }

/** A word, option or combination that we do not know. */
export class UsageError extends NetcowError {
  readonly exitCode = 2
}

/** The source does not answer now and may later: unreachable, timeouts, 408, 429, 5xx, cut bodies. */
export class SourceUnavailable extends NetcowError {
  readonly exitCode = 3
  /** How long the source asked us to stay away; 0 when it did not. */
  readonly retryAfterMs: number

  constructor(what: string, failure: Failure & { readonly retryAfterMs?: number } = {}) {
    super(what, failure)
    this.retryAfterMs = failure.retryAfterMs ?? 0
  }
}

/** The source will not give it, however often we ask: 401, 403, 404, 410, 416, no ranges. */
export class SourceRefused extends NetcowError {
  readonly exitCode = 3
}

/** The server has the file and gives it only as a whole. */
export class RangesRefused extends SourceRefused {}

/** The source answers with another version of the file than the one pinned at open. */
export class SourceChanged extends NetcowError {
  readonly exitCode = 3
}

/** The bytes of the image contradict its specification. */
export class ImageInvalid extends NetcowError {
  readonly exitCode = 4
}

/** The image may be sound, but uses something that netcow does not read, named in the message. */
export class ImageUnsupported extends NetcowError {
  readonly exitCode = 4
}

/** The kernel said no. */
export class KernelRefused extends NetcowError {
  readonly exitCode = 5
}

/** The device is none of ours: another process serves it, or netcow did not make it. */
export class DeviceNotOurs extends KernelRefused {}

/** What the device consisted of is gone, and no other daemon can serve it. */
export class DeviceLost extends KernelRefused {}

/** The other side of an NBD connection broke the protocol or said no. */
export class PeerRefused extends NetcowError {
  readonly exitCode = 5
}

/** A write found no room in a bounded store; nothing of it was kept. */
export class StoreFull extends NetcowError {
  readonly exitCode = 5
  /** How much room it would have needed. */
  readonly wantedBytes: number

  constructor(what: string, failure: Failure & { readonly wantedBytes: number }) {
    super(what, failure)
    this.wantedBytes = failure.wantedBytes
  }
}

export function isNetcowError(error: unknown): error is NetcowError {
  return error instanceof NetcowError
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EDQUOT: 'the quota is used up',
  EISDIR: 'it is a directory',
  ENAMETOOLONG: 'the name is too long',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left',
  ENOTDIR: 'a part of the path is not a directory',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
}

/** Why the kernel refused something, in words where it is what people run into. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = codeOf(error)
  return code === undefined ? error.message : (REASONS[code] ?? code)
}

/** The name of the kernel's error (errno(3)); undefined for what is none. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}
