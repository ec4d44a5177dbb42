/** The hashes that cryptsetup and QEMU write, as far as OpenSSL has them; whirlpool is gone. */
const HASHES = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'ripemd160']

export function isHash(name: string): boolean {
  return HASHES.includes(name)
}
