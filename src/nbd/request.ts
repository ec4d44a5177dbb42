import { MOST_PAYLOAD_BYTES, type Session } from './export.ts'
import { CONTEXT_ID_BYTES, Command, CommandFlag, ErrorValue, StatusPayload } from './protocol.ts'

const NOTHING = new Uint8Array(0)

/**
 * One request as it came, nothing of it checked. Halves of 64-bit numbers that are only echoed are
 * kept as signed integers, which cost no allocation.
 */
export class Request {
  readonly flags: number
  readonly type: number
  readonly cookieHigh: number
  readonly cookieLow: number
  /** Inexact above 2^53, which is beyond any export. */
  readonly offset: number
  readonly offsetHigh: number
  readonly offsetLow: number
  /** Of the effect, or of the payload where there is one. */
  readonly length: number
  payload: Uint8Array = NOTHING

  constructor(
    flags: number,
    type: number,
    cookieHigh: number,
    cookieLow: number,
    offsetHigh: number,
    offsetLow: number,
    length: number,
  ) {
    this.flags = flags
    this.type = type
    this.cookieHigh = cookieHigh
    this.cookieLow = cookieLow
    this.offset = (offsetHigh >>> 0) * 2 ** 32 + (offsetLow >>> 0)
    this.offsetHigh = offsetHigh
    this.offsetLow = offsetLow
    this.length = length
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0
  }
}

/**
 * How many bytes follow the header on the wire, whether the request is refused or not. A write has
 * a payload even without its flag: QEMU's client never sets it, and QEMU's server takes it so, too.
 */
export function payloadBytes(request: Request, extended: boolean): number {
  const follows =
    request.type === Command.write || (extended && request.has(CommandFlag.payloadLength))
  return follows ? request.length : 0
}

/**
 * Checks a request against what was agreed on ("Request types" and "Error values"): the error that
 * it gets, or `none` when it may be carried out. Nothing of the payload is looked at.
 */
export function errorOf(request: Request, { served, headers, contexts }: Session): ErrorValue {
  const { type, offset, length } = request
  if ((request.flags & ~allowedFlags(type, headers)) !== 0) return ErrorValue.invalid
  const inside = length > 0 && offset + length <= served.source.size
  switch (type) {
    case Command.read:
      if (!inside) return ErrorValue.invalid
      if (length <= MOST_PAYLOAD_BYTES) return ErrorValue.none
      return headers === 'simple' ? ErrorValue.invalid : ErrorValue.overflow
    case Command.write:
    case Command.writeZeroes:
      if (served.access === 'read-only') return ErrorValue.perm
      if (length === 0) return ErrorValue.invalid
      if (type === Command.write && length > MOST_PAYLOAD_BYTES) return ErrorValue.invalid
      return inside ? ErrorValue.none : ErrorValue.noSpace
    case Command.trim:
      if (served.access === 'read-only') return ErrorValue.perm
      return inside ? ErrorValue.none : ErrorValue.invalid
    case Command.cache:
      return inside ? ErrorValue.none : ErrorValue.invalid
    case Command.flush:
      return offset === 0 && length === 0 ? ErrorValue.none : ErrorValue.invalid
    case Command.blockStatus:
      if (contexts.length === 0) return ErrorValue.invalid
      // With a payload, the length of the effect is inside of it and is checked with it.
      if (request.has(CommandFlag.payloadLength))
        return namesContexts(length, contexts.length) ? ErrorValue.none : ErrorValue.invalid
      return inside ? ErrorValue.none : ErrorValue.invalid
    default:
      return ErrorValue.invalid
  }
}

/** Whether a status payload of so many bytes has room for an id, and for no more than there are. */
function namesContexts(payload: number, most: number): boolean {
  const count = (payload - StatusPayload.size) / CONTEXT_ID_BYTES
  return Number.isInteger(count) && count >= 1 && count <= most
}

/** FUA is allowed on every command once it is offered. */
function allowedFlags(type: number, headers: Session['headers']): number {
  const { fua, noHole, df, reqOne, fastZero, payloadLength } = CommandFlag
  const extended = headers === 'extended' ? payloadLength : 0
  switch (type) {
    case Command.read:
      return headers === 'simple' ? fua : fua | df
    case Command.write:
      return fua | extended
    case Command.writeZeroes:
      return fua | noHole | fastZero
    case Command.blockStatus:
      return fua | reqOne | extended
    default:
      return fua
  }
}
