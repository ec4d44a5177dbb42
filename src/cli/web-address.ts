import { UsageError } from '../errors.ts'

/**
 * An http or https URL. Throws `UsageError`, also for one that holds credentials.
 *
 * @param header that credentials for this server are sent in
 */
export function webAddress(text: string, header = 'Authorization'): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`'${text}' is neither a path nor an http or https URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('the URL holds a user name or a password, which everyone could read', {
      advice: `put '${header}: Basic ...' into a file and name it with --header-file`,
    })
  }
  return url
}
