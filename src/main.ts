import { availableParallelism } from 'node:os'
import { runTool } from './cli/tool.ts'

/** What libuv would have without being told. */
const LEAST_THREADS = 4
// Files, name look-ups and decompression share libuv's threads: enough of them for all processors.
const threads = Math.max(LEAST_THREADS, availableParallelism())
process.env['UV_THREADPOOL_SIZE'] ??= `${threads}`
// node:ffi works, and its being experimental is settled by pinning the exact version of Node.
process.removeAllListeners('warning')
process.on('warning', (warning) => {
  if (warning.name !== 'ExperimentalWarning') process.stderr.write(`netcow: ${warning.message}\n`)
})
// A reader that has seen enough, such as head, is no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1)
})

/** systemd calls its generators in a directory of that name (systemd.generator(7)). */
const GENERATORS = '/system-generators/'

async function run(words: readonly string[]): Promise<number> {
  const [normal, early] = words
  if (process.argv0.includes(GENERATORS) && normal !== undefined && early !== undefined) {
    return (await import('./boot/generator.ts')).generate(early)
  }
  // systemd-shutdown runs /shutdown, which is this program, as process 1.
  const asLast = process.pid === 1 && process.argv0 === '/shutdown'
  const call = asLast ? (await import('./boot/shutdown.ts')).lastWords(words) : words
  return runTool(
    call,
    { boot: async () => (await import('./boot/boot.ts')).boot },
    {
      shutdown: async () => (await import('./boot/shutdown.ts')).shutdown,
      'take-apart': async () => (await import('./boot/shutdown.ts')).takeApart,
    },
  )
}

// What ends because nothing is left to wait for has not been done.
process.exitCode = 1
void run(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode
})
