import { availableParallelism } from 'node:os'
import { boot } from './boot/boot.ts'
import { GENERATORS, generate } from './boot/generator.ts'
import { lastWords, shutdown } from './boot/shutdown.ts'
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

const [normal, early] = process.argv.slice(2)
if (process.argv0.includes(GENERATORS) && normal !== undefined && early !== undefined) {
  process.exitCode = generate(early)
} else {
  // systemd-shutdown runs /shutdown, which is this program, as process 1.
  const asLast = process.pid === 1 && process.argv0 === '/shutdown'
  const words = asLast ? lastWords(process.argv[2]) : process.argv.slice(2)
  void runTool(words, [boot], [shutdown]).then((exitCode) => {
    process.exitCode = exitCode
  })
}
