import { type Export, MOST_PAYLOAD_BYTES } from './export.ts'
import { Command, CommandFlag, ErrorValue, type RequestHeader } from './protocol.ts'

/** A request that may be carried out, or the error that it gets; decided before anything is done. */
export type Work =
  | { readonly kind: 'read'; readonly offset: number; readonly length: number }
  | {
      readonly kind: 'write'
      readonly offset: number
      readonly length: number
      readonly fua: boolean
    }
  | {
      readonly kind: 'zero'
      readonly offset: number
      readonly length: number
      readonly fua: boolean
    }
  | {
      readonly kind: 'trim'
      readonly offset: number
      readonly length: number
      readonly fua: boolean
    }
  | { readonly kind: 'flush' }
  | { readonly kind: 'disconnect' }
  | { readonly kind: 'refuse'; readonly error: ErrorValue }

const INVALID: Work = { kind: 'refuse', error: ErrorValue.invalid }
const NOT_PERMITTED: Work = { kind: 'refuse', error: ErrorValue.perm }
const NO_SPACE: Work = { kind: 'refuse', error: ErrorValue.noSpace }

/** How many bytes follow the header on the wire, whether the request is refused or not. */
export function payloadBytes(header: RequestHeader): number {
  return header.type === Command.write ? header.length : 0
}

/** Checks a request against the export ("Request types" and "Error values" of the protocol). */
export function validate(header: RequestHeader, served: Export): Work {
  if (header.type === Command.disconnect) return { kind: 'disconnect' }
  if ((header.flags & ~allowedFlags(header.type)) !== 0) return INVALID
  if (header.type === Command.flush) return { kind: 'flush' }
  // Exact as long as it matters: what a double cannot hold is far beyond any export.
  const offset = Number(header.offset)
  const { length } = header
  const fua = (header.flags & CommandFlag.fua) !== 0
  const inside = length > 0 && offset + length <= served.source.size
  switch (header.type) {
    case Command.read:
      return inside && length <= MOST_PAYLOAD_BYTES ? { kind: 'read', offset, length } : INVALID
    case Command.write:
    case Command.trim:
    case Command.writeZeroes:
      if (served.access === 'read-only') return NOT_PERMITTED
      break
    default:
      return INVALID
  }
  if (header.type === Command.trim) return inside ? { kind: 'trim', offset, length, fua } : INVALID
  if (!inside) return length === 0 ? INVALID : NO_SPACE
  if (header.type === Command.writeZeroes) return { kind: 'zero', offset, length, fua }
  return length <= MOST_PAYLOAD_BYTES ? { kind: 'write', offset, length, fua } : INVALID
}

/** FUA is allowed on every command once it is offered; NO_HOLE belongs to write zeroes. */
function allowedFlags(type: number): number {
  return type === Command.writeZeroes ? CommandFlag.fua | CommandFlag.noHole : CommandFlag.fua
}
