import { UsageError } from '../errors.ts'

/** An http or https URL. Throws `UsageError`, also for one that holds credentials. */
export function webAddress(text: string): URL {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new UsageError(`'${text}' is neither a path nor an http or https URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError('the URL holds a user name or a password, which everyone could read', {
      advice: "put 'Authorization: Basic ...' into a file and name it with --header-file",
    })
  }
  return url
}
