import type { Readable } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'

/**
 * The lines of a serial port, as they come. A prompt, which has no end of line, counts while it is
 * the last line.
 */
export class Lines {
  /** The finished lines, without terminal control sequences. */
  readonly all: string[] = []
  #last = ''
  #ended = false
  readonly #waiting = new Set<() => void>()

  constructor(stream: Readable) {
    stream.setEncoding('utf8')
    stream.on('data', (text: string) => this.#add(text))
    stream.on('close', () => {
      this.#ended = true
      this.#wake()
    })
  }

  /** The finished lines, past and to come, until the port closes. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (let next = 0; ;) {
      for (; next < this.all.length; next++) yield this.all[next]!
      if (this.#ended) return
      await this.#change()
    }
  }

  /** The first line, past or to come, that matches; throws if the port closes without it. */
  async find(pattern: RegExp): Promise<string> {
    for (let next = 0; ;) {
      for (; next < this.all.length; next++) {
        if (pattern.test(this.all[next]!)) return this.all[next]!
      }
      if (pattern.test(this.#last)) return this.#last
      if (this.#ended) throw new Error(`the port closed before it said ${pattern}`)
      await this.#change()
    }
  }

  /** The last `count` lines. */
  tail(count: number): readonly string[] {
    return [...this.all, this.#last].slice(-count)
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #add(text: string): void {
    const lines = (this.#last + text).split(/\r*\n/)
    this.#last = lines.pop() ?? ''
    for (const line of lines) this.all.push(stripVTControlCharacters(line).replaceAll('\r', ''))
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
