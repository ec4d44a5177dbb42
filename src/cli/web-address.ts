import { UsageError } from '../errors.ts'

/**
 * An http or https URL. Throws `UsageError`, also for one that holds credentials.
 *
 * @param header that credentials for this server are sent in
 */
export function webAddress(text: string, header = 'Authorization'): URL {
  if (!/^https?:/i.test(text)) {
    throw new UsageError(`'${text}' is not an http or https URL`, {
      advice: 'write it like http://SERVER/...',
    })
  }
  // A host that is missing or behind one slash is made up by what parses URLs: of the path.
  const url = /^https?:\/\/[^/\\]/i.test(text) ? URL.parse(text) : null
  if (url === null) {
    throw new UsageError(`'${text}' is not a sound URL`, {
      advice: 'write it like http://SERVER/... or http://SERVER:PORT/..., PORT up to 65535',
    })
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('the URL holds a user name or a password, which everyone could read', {
      advice: `put '${header}: Basic ...' into a file and name it with --header-file`,
    })
  }
  return url
}
