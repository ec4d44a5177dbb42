import { struct, u16host, u32host, u64host, u8 } from '../binary/struct.ts'

/**
 * Messages of generic netlink: RFC 3549 section 2.2 for the header and its attributes,
 * linux/genetlink.h for the second header.
 */

export const MessageHeader = struct({
  length: u32host,
  type: u16host,
  flags: u16host,
  sequence: u32host,
  port: u32host,
})
export const GenericHeader = struct({
  command: u8,
  version: u8,
  reserved: u16host,
})
const AttributeHeader = struct({
  length: u16host,
  type: u16host,
})
const U32 = struct({ value: u32host })
const U64 = struct({ value: u64host })

/** The flags NLA_F_NESTED and NLA_F_NET_BYTEORDER share the field with the type. */
const TYPE_MASK = 0x3fff

export interface Attribute {
  readonly type: number
  readonly payload: Uint8Array
}

export function attributeU32(type: number, value: number): Attribute {
  return { type, payload: U32.encode({ value }) }
}
export function attributeU64(type: number, value: number): Attribute {
  return { type, payload: U64.encode({ value: BigInt(value) }) }
}
export function attributeString(type: number, value: string): Attribute {
  return { type, payload: Buffer.from(`${value}\0`) }
}
export function attributeNest(type: number, inner: readonly Attribute[]): Attribute {
  return { type, payload: encodeAttributes(inner) }
}

export function valueU16(attribute: Attribute): number {
  return struct({ value: u16host }).decode(attribute.payload).value
}
export function valueU32(attribute: Attribute): number {
  return U32.decode(attribute.payload).value
}

export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(({ type, payload }) => {
    const length = AttributeHeader.size + payload.length
    const bytes = AttributeHeader.encode({ length, type }, new Uint8Array(aligned(length)))
    bytes.set(payload, AttributeHeader.size)
    return bytes
  })
  return Buffer.concat(parts)
}

/** What does not add up ends the list: the kernel is trusted, a torn message is not followed. */
export function decodeAttributes(bytes: Uint8Array): Attribute[] {
  const attributes: Attribute[] = []
  for (let at = 0; at + AttributeHeader.size <= bytes.length;) {
    const { length, type } = AttributeHeader.decode(bytes, at)
    if (length < AttributeHeader.size || at + length > bytes.length) break
    attributes.push({
      type: type & TYPE_MASK,
      payload: bytes.subarray(at + AttributeHeader.size, at + length),
    })
    at += aligned(length)
  }
  return attributes
}

/** One datagram holds one or several messages. */
export function* splitMessages(
  datagram: Uint8Array,
): Generator<{ type: number; sequence: number; payload: Uint8Array }> {
  for (let at = 0; at + MessageHeader.size <= datagram.length;) {
    const { length, type, sequence } = MessageHeader.decode(datagram, at)
    if (length < MessageHeader.size || at + length > datagram.length) break
    yield { type, sequence, payload: datagram.subarray(at + MessageHeader.size, at + length) }
    at += aligned(length)
  }
}

function aligned(length: number): number {
  return (length + 3) & ~3
}
