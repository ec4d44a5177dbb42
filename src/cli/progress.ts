import { formatSize } from './size.ts'
import type { Terminal } from './terminal.ts'

const REDRAW_MS = 200
const BAR_COLUMNS = 30

/** A bar, a share and a rate on the last line of a terminal; silent where nobody watches. */
export class Progress implements Disposable {
  readonly #terminal: Terminal
  readonly #total: number
  readonly #started = performance.now()
  #done = 0
  #drawnAt = -Infinity

  constructor(terminal: Terminal, total: number) {
    this.#terminal = terminal
    this.#total = total
  }

  advance(bytes: number): void {
    this.#done += bytes
    const now = performance.now()
    if (now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    this.#draw()
  }

  [Symbol.dispose](): void {
    this.#draw()
    if (this.#terminal.watched) this.#terminal.endDrawing()
  }

  #draw(): void {
    if (!this.#terminal.watched) return
    const share = this.#total === 0 ? 1 : this.#done / this.#total
    const filled = Math.round(share * BAR_COLUMNS)
    const bar = '#'.repeat(filled).padEnd(BAR_COLUMNS, '.')
    const seconds = (performance.now() - this.#started) / 1000
    const rate = formatSize(this.#done / Math.max(seconds, 0.001))
    const percent = `${Math.floor(share * 100)}`.padStart(3)
    this.#terminal.draw(`[${bar}] ${percent} %  ${formatSize(this.#done)}  ${rate}/s   `)
  }
}
