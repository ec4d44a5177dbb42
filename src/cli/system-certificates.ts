import { readFile } from 'node:fs/promises'

/** Where distributions keep the bundle of certificates that the machine trusts. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]

/** The certificates that this machine trusts; undefined leaves it to those that Node brings along. */
export async function systemCertificates(): Promise<string | undefined> {
  for (const path of BUNDLES) {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text.includes('-----BEGIN ')) return text
  }
  return undefined
}
