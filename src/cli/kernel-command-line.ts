/** One word of the kernel command line; a word without '=' has no value. */
export interface Word {
  readonly name: string
  readonly value: string | undefined
}

/**
 * Cuts a kernel command line as the kernel does (next_arg in lib/cmdline.c): words end at white
 * space outside of double quotes, and quotes around a value or a whole word fall away.
 */
export function parseKernelCommandLine(line: string): Word[] {
  const words = line.match(/(?:[^\s"]|"[^"]*(?:"|$))+/g) ?? []
  return words.map((word) => {
    const bare = word.startsWith('"') ? unquoted(word) : word
    const equals = bare.indexOf('=')
    if (equals < 0) return { name: bare, value: undefined }
    return { name: bare.slice(0, equals), value: unquoted(bare.slice(equals + 1)) }
  })
}

function unquoted(text: string): string {
  if (!text.startsWith('"')) return text
  return text.endsWith('"') && text.length > 1 ? text.slice(1, -1) : text.slice(1)
}
