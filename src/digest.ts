/**
 * The SHA-256 of something, in hexadecimal. OpenSSL is loaded when it is asked for, here: it takes a
 * seventh of the time that a command needs to start, and most need nothing of it.
 */
export function sha256(bytes: string | Uint8Array): string {
  return process.getBuiltinModule('node:crypto').hash('sha256', bytes)
}
