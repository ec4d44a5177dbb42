/** A table in Markdown that can be read as it stands: the first column to the left, numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const isNumber = head.map((_, column) =>
    rows.every((row) => /^(?:[\d.,]+(?: ?\w{1,3})?)?$/.test(row[column] ?? '')),
  )
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, i) => (isNumber[i] ? (cells[i] ?? '').padStart(width) : (cells[i] ?? '').padEnd(width))).join(' | ')} |`
  const rule = widths.map((width, i) => `-${'-'.repeat(width)}${isNumber[i] ? ':' : '-'}`)
  return [line(head), `|${rule.join('|')}|`, ...rows.map(line)].join('\n')
}
