/** Bars that are compared with each other. */
export interface BarGroup {
  readonly title: string
  readonly bars: readonly Bar[]
}

export interface Bar {
  readonly name: string
  readonly value: number
  /** What stands at its end. */
  readonly label: string
}

const BAR_PIXELS = 16
const GAP_PIXELS = 4
const TITLE_PIXELS = 26
const NAME_PIXELS = 150
const LONGEST_PIXELS = 420
const LABEL_PIXELS = 170
/** Told apart by those who see no red and green, too. */
const COLOURS = ['#0072b2', '#e69f00', '#999999', '#56b4e9', '#cc79a7', '#009e73'] as const

/**
 * A bar chart in SVG: one group below the other, each to its own scale, a colour for each name.
 */
export function barChart(title: string, groups: readonly BarGroup[]): string {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))]
  const colour = (name: string) => COLOURS[names.indexOf(name) % COLOURS.length]!
  const parts = [text(0, 18, title, 'font-weight="bold" font-size="15"')]
  let y = 30
  for (const group of groups) {
    parts.push(text(0, y + TITLE_PIXELS - 10, group.title, 'font-weight="bold"'))
    y += TITLE_PIXELS
    const longest = Math.max(...group.bars.map(({ value }) => value))
    for (const bar of group.bars) {
      const width = longest > 0 ? (bar.value / longest) * LONGEST_PIXELS : 0
      const middle = y + BAR_PIXELS - 4
      parts.push(
        text(NAME_PIXELS - 6, middle, bar.name, 'text-anchor="end"'),
        `<rect x="${NAME_PIXELS}" y="${y}" width="${width.toFixed(1)}" height="${BAR_PIXELS}" fill="${colour(bar.name)}"/>`,
        text(NAME_PIXELS + width + 6, middle, bar.label),
      )
      y += BAR_PIXELS + GAP_PIXELS
    }
  }
  const size = `width="${NAME_PIXELS + LONGEST_PIXELS + LABEL_PIXELS}" height="${y + GAP_PIXELS}"`
  const style = 'font-family="sans-serif" font-size="12"'
  const paper = '<rect width="100%" height="100%" fill="white"/>'
  return [`<svg xmlns="http://www.w3.org/2000/svg" ${size} ${style}>`, paper, ...parts, '</svg>\n']
    .flat()
    .join('\n')
}

function text(x: number, y: number, words: string, attributes = ''): string {
  const safe = words.replace(/[&<>]/g, (letter) => `&#${letter.codePointAt(0)};`)
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${safe}</text>`
}
