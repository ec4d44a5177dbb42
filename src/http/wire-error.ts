import { SourceRefused, SourceUnavailable, isNetcowError } from '../errors.ts'

/** Sorts what connections fail with, by Node's and undici's codes. */

/** What happened on the wire, in words that an administrator would use. */
const PASSING: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the server refuses the connection',
  ENOTFOUND: 'the name of the server is not known',
  EAI_AGAIN: 'no name server answers',
  ENETUNREACH: 'there is no route to the server',
  EHOSTUNREACH: 'there is no route to the server',
  ETIMEDOUT: 'the server does not answer',
  UND_ERR_CONNECT_TIMEOUT: 'the server does not answer',
  UND_ERR_HEADERS_TIMEOUT: 'the server accepts the request and does not answer it',
  UND_ERR_BODY_TIMEOUT: 'the server stalls in the middle of the range',
  ECONNRESET: 'the server closes the connection',
  EPIPE: 'the server closes the connection',
  UND_ERR_SOCKET: 'the server closes the connection',
  UND_ERR_PRX_CONN: 'the proxy closes the connection',
}

const TRUST = 'name its certificate authority with --ca'
const CLOCK = 'check the clock of this machine and the certificate of the server'
const CLIENT = 'give a certificate with --client-cert and --client-key'
const PROXY = "put 'Proxy-Authorization: ...' into the file of --header-file"
const ENDLESS: Readonly<Record<string, readonly [what: string, advice: string]>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: ['the certificate of the server is not trusted', TRUST],
  SELF_SIGNED_CERT_IN_CHAIN: ['the certificate of the server is not trusted', TRUST],
  UNABLE_TO_GET_ISSUER_CERT: ['the certificate of the server is not trusted', TRUST],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['the certificate of the server is not trusted', TRUST],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['the certificate of the server is not trusted', TRUST],
  CERT_UNTRUSTED: ['the certificate of the server is not trusted', TRUST],
  CERT_HAS_EXPIRED: ['the certificate of the server has expired', CLOCK],
  CERT_NOT_YET_VALID: ['the certificate of the server is not valid yet', CLOCK],
  ERR_TLS_CERT_ALTNAME_INVALID: ['the certificate is for another server', 'correct the URL'],
  UND_ERR_PRX_TLS: ['the certificate is for another proxy', 'correct --proxy'],
  ERR_SSL_WRONG_VERSION_NUMBER: ['the server does not speak TLS', 'write http://, or correct it'],
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: ['the server wants a client certificate', CLIENT],
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: ['the server refuses the client certificate', CLIENT],
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: ['the server refuses the client certificate', CLIENT],
}

/** Has undici's code of every request that it does not send, and is the answer of a proxy that forwards. */
const PROXY_407 = 'Proxy Authentication Required (407)'

type Where = Readonly<Record<string, string | number>>

/** The error that a failed connection stands for. */
export function wireError(cause: NodeJS.ErrnoException, where: Where): Error {
  // Ours come back from within undici when a proxy refuses.
  if (isNetcowError(cause)) return cause.within(where)
  const code = cause.code ?? ''
  if (code === 'UND_ERR_INVALID_ARG') {
    if (cause.message !== PROXY_407) {
      return new SourceRefused(`the request cannot be sent: ${cause.message}`, { where, cause })
    }
    return new SourceRefused('the proxy wants credentials (407)', { where, advice: PROXY, cause })
  }
  const endless = ENDLESS[code]
  if (endless !== undefined) {
    return new SourceRefused(endless[0], { where, advice: endless[1], cause })
  }
  const what = PASSING[code] ?? `the transfer fails: ${code} ${cause.message}`
  return new SourceUnavailable(what, { where, cause })
}
