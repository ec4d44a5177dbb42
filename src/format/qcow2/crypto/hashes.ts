interface Hash {
  readonly bytes: number
  /** What an iteration costs on a 64-bit processor, in iterations of SHA-256. */
  readonly cost: number
}

/** The hashes that cryptsetup and QEMU write, as far as OpenSSL has them; whirlpool is gone. */
const HASHES: Readonly<Record<string, Hash>> = {
  sha1: { bytes: 20, cost: 1 },
  sha224: { bytes: 28, cost: 1 },
  sha256: { bytes: 32, cost: 1 },
  sha384: { bytes: 48, cost: 3 },
  sha512: { bytes: 64, cost: 3 },
  ripemd160: { bytes: 20, cost: 3 },
}

export function isHash(name: string): boolean {
  return Object.hasOwn(HASHES, name)
}

export function hashBytes(name: string): number {
  return HASHES[name]!.bytes
}

/** What PBKDF2 costs, in iterations of SHA-256: it goes through all of them for each block. */
export function derivationCost(hash: string, iterations: number, keyBytes: number): number {
  const { bytes, cost } = HASHES[hash]!
  return iterations * Math.ceil(keyBytes / bytes) * cost
}
