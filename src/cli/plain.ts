/**
 * A line as it may be shown. What stands in an image, or comes from a server, may hold anything, and a
 * terminal obeys control characters.
 */
export function plain(line: string): string {
  return line.replaceAll(/\p{Cc}/gu, (character) => {
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`
  })
}
