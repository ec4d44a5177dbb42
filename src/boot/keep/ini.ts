/** The sections of a file in the style of systemd and NetworkManager: what each key was last set to. */
export type Sections = ReadonlyMap<string, ReadonlyMap<string, string>>

export function parseIni(text: string): Sections {
  const sections = new Map<string, Map<string, string>>()
  let section = new Map<string, string>()
  for (const line of text.split('\n').map((each) => each.trim())) {
    const [, name] = /^\[(.*)\]$/.exec(line) ?? []
    if (name !== undefined) {
      section = sections.get(name) ?? new Map<string, string>()
      sections.set(name, section)
      continue
    }
    const [, key, value] = /^([^#;=]+?)\s*=\s*(.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) section.set(key, value)
  }
  return sections
}

export function formatIni(sections: readonly (readonly [string, readonly string[]])[]): string {
  return sections.map(([name, lines]) => `[${name}]\n${lines.join('\n')}\n`).join('\n')
}
