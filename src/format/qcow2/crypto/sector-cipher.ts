import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { ImageUnsupported } from '../../../errors.ts'
import { isHash } from './hashes.ts'
import { SECTOR } from './sector.ts'

/**
 * Decrypts runs of 512-byte sectors with AES. The block cipher runs over a whole run at once, in
 * ECB, and the modes are a few exclusive-ors around it: a cipher object per sector would cost
 * more than the decryption.
 */
export interface SectorCipher {
  /** Decrypts in place; `bytes` are whole sectors, the first of which has the number `sector`. */
  decrypt(bytes: Uint8Array, sector: number): void
}

const BLOCK = 16
const BLOCKS_PER_SECTOR = SECTOR / BLOCK

/** A block cipher on any number of blocks. */
type Blocks = (bytes: Uint8Array) => Uint8Array

/**
 * `mode` as LUKS writes it, such as `xts-plain64` or `cbc-essiv:sha256`.
 * Throws `ImageUnsupported` for what neither cryptsetup nor QEMU writes with AES.
 */
export function sectorCipher(cipher: string, mode: string, key: Uint8Array): SectorCipher {
  const refuse = (): never => {
    const bits = key.length * 8
    throw new ImageUnsupported(`encryption with ${cipher}-${mode} and a key of ${bits} bits`, {
      advice: 'netcow reads aes-xts-* and aes-cbc-*',
    })
  }
  const [chaining = '', generator = 'plain64'] = mode.split('-', 2)
  const cipherKey = chaining === 'xts' ? key.subarray(0, key.length / 2) : key
  if (cipher !== 'aes' || ![16, 24, 32].includes(cipherKey.length)) return refuse()
  const vectors = vectorsOf(generator, cipherKey) ?? refuse()
  const decrypted = decipher(cipherKey)
  switch (chaining) {
    case 'xts': {
      const tweaks = encipher(key.subarray(key.length / 2))
      return { decrypt: (bytes, sector) => xts(bytes, tweaks(vectors(bytes, sector)), decrypted) }
    }
    case 'cbc':
      return { decrypt: (bytes, sector) => cbc(bytes, vectors(bytes, sector), decrypted) }
    case 'ecb':
      return { decrypt: (bytes) => bytes.set(decrypted(bytes)) }
    default:
      return refuse()
  }
}

/** One initialization vector per sector of `bytes`, one after the other. */
type Vectors = (bytes: Uint8Array, sector: number) => Uint8Array

function vectorsOf(generator: string, key: Uint8Array): Vectors | undefined {
  if (generator === 'plain') return (bytes, sector) => numbered(bytes, sector, 0)
  if (generator === 'plain64') return (bytes, sector) => numbered(bytes, sector, 1)
  const [name, hash] = generator.split(':')
  if (name !== 'essiv' || hash === undefined || !isHash(hash)) return undefined
  const salt = createHash(hash).update(key).digest()
  if (![16, 24, 32].includes(salt.length)) return undefined
  const salted = encipher(salt)
  return (bytes, sector) => salted(numbered(bytes, sector, 1))
}

/** The sector numbers, little-endian; `upper` is 0 if they end at 32 bits. */
function numbered(bytes: Uint8Array, sector: number, upper: 0 | 1): Uint8Array {
  const vectors = new Uint8Array((bytes.length / SECTOR) * BLOCK)
  const view = new DataView(vectors.buffer)
  for (let at = 0; at < vectors.length; at += BLOCK, sector++) {
    view.setUint32(at, sector % 2 ** 32, true)
    view.setUint32(at + 4, upper * Math.floor(sector / 2 ** 32), true)
  }
  return vectors
}

/** Each block of plain text was mixed with the block of cipher text before it. */
function cbc(bytes: Uint8Array, vectors: Uint8Array, decrypted: Blocks): void {
  const plain = words(decrypted(bytes))
  const chained = words(bytes)
  const first = words(vectors)
  const perSector = SECTOR / 4
  const perBlock = BLOCK / 4
  for (let word = 0; word < plain.length; word++) {
    const inSector = word % perSector
    const vector = Math.floor(word / perSector) * perBlock + inSector
    plain[word]! ^= inSector < perBlock ? first[vector]! : chained[word - perBlock]!
  }
  bytes.set(new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength))
}

/** IEEE 1619: each block is mixed, before and after, with the tweak times x^block. */
function xts(bytes: Uint8Array, sectorTweaks: Uint8Array, decrypted: Blocks): void {
  const tweaks = multiplied(words(sectorTweaks))
  const mixed = words(bytes)
  for (let word = 0; word < mixed.length; word++) mixed[word]! ^= tweaks[word]!
  const plain = words(decrypted(new Uint8Array(mixed.buffer, mixed.byteOffset, mixed.byteLength)))
  for (let word = 0; word < plain.length; word++) plain[word]! ^= tweaks[word]!
  bytes.set(new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength))
}

/** The tweak of every block of every sector: doubled from block to block in GF(2^128). */
function multiplied(sectors: Uint32Array): Uint32Array {
  const tweaks = new Uint32Array(sectors.length * BLOCKS_PER_SECTOR)
  let at = 0
  for (let sector = 0; sector < sectors.length; sector += 4) {
    let a = sectors[sector]!
    let b = sectors[sector + 1]!
    let c = sectors[sector + 2]!
    let d = sectors[sector + 3]!
    for (let block = 0; block < BLOCKS_PER_SECTOR; block++) {
      tweaks[at++] = a
      tweaks[at++] = b
      tweaks[at++] = c
      tweaks[at++] = d
      const carry = d >>> 31
      d = (d << 1) | (c >>> 31)
      c = (c << 1) | (b >>> 31)
      b = (b << 1) | (a >>> 31)
      a = (a << 1) ^ (carry * 0x87)
    }
  }
  return tweaks
}

/** As 32-bit words of this machine, which is little-endian; a copy where they are not aligned. */
function words(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4)
}

function encipher(key: Uint8Array): Blocks {
  const cipher = createCipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false)
  return (bytes) => cipher.update(bytes)
}

function decipher(key: Uint8Array): Blocks {
  const cipher = createDecipheriv(`aes-${key.length * 8}-ecb`, key, null).setAutoPadding(false)
  return (bytes) => cipher.update(bytes)
}
