import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { RangeServer } from '../test/fixtures/range-server.ts'
import { listens } from '../test/fixtures/listening.ts'
import { replay } from './bench/replay.ts'

const root = resolve(import.meta.dirname, '..')
/** A real image, with clusters that are packed. */
const IMAGE = join(root, 'test/fixtures/images/image.qcow2')
const IMAGE_BYTES = 100 * 1024
const START_MS = 20_000
const LOOK_AGAIN_MS = 10

/**
 * Compiles `script` and leaves that in `code`. V8 compiles a function when it is called for the first
 * time, which for the thousand that a start calls takes longer than all else; so the tool is run once, by
 * the Node that the executable has: it opens an image over HTTP and serves it to a client.
 *
 * @param options those of Node that the executable has; V8 takes nothing that was compiled with others
 */
export async function warm(
  node: string,
  options: readonly string[],
  script: string,
  code: string,
): Promise<void> {
  await using server = await RangeServer.open({ '/image': readFileSync(IMAGE) })
  // Names of sockets are short.
  const folder = await mkdtemp(join(tmpdir(), 'netcow-'))
  const socket = join(folder, 'socket')
  const words = ['serve', `http://127.0.0.1:${server.port}/image`, '--socket', socket]
  const args = [...options, join(root, 'build/warm-start.cjs'), script, code, ...words]
  const child = spawn(node, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const said = text(child.stderr)
  const ended = once(child, 'exit')
  try {
    const deadline = performance.now() + START_MS
    while (!(await listens({ path: socket }))) {
      const isOver = child.exitCode !== null || child.signalCode !== null
      if (isOver || performance.now() > deadline) {
        child.kill()
        throw new Error(`the tool does not serve: ${await said}`)
      }
      await sleep(LOOK_AGAIN_MS)
    }
    await replay(socket, reads())
  } finally {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  if (!existsSync(code)) throw new Error(`nothing is compiled: ${await said}`)
}

/** Beginnings of clusters, then whole ones, then what is remembered of them. */
function reads(): { offset: number; length: number }[] {
  const pieces = Array.from({ length: IMAGE_BYTES / 4096 }, (_, n) => ({
    offset: n * 4096,
    length: 4096,
  }))
  return [
    ...pieces,
    { offset: 0, length: 64 * 1024 },
    { offset: 0, length: IMAGE_BYTES },
    ...pieces,
  ]
}
