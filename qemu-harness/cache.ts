import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { runAsRoot } from './command.ts'

/** Enough to go back and forth between two states of the sources. */
const ENTRIES_KEPT = 2

/**
 * Files and directory trees that take long to make, kept outside of the clone and named by what
 * went into them. An entry appears under its name only when it is complete, two runs never make
 * the same one at the same time, and all but the newest of each name are removed.
 */
export class Cache {
  readonly directory: string

  constructor(directory: string) {
    this.directory = directory
  }

  /**
   * The path of the entry made of `inputs`, made now by `build` if need be. `build` gets a path
   * that does not exist yet and leaves a file or a directory there.
   */
  async entry(
    name: string,
    inputs: unknown,
    build: (path: string) => Promise<void>,
  ): Promise<string> {
    const path = join(this.directory, `${name}-${keyOf(inputs)}`)
    await mkdir(this.directory, { recursive: true })
    await using _lock = await lock(`${this.directory}/${name}`)
    if (!(await exists(path))) {
      const partial = `${path}.partial-${randomUUID()}`
      try {
        await build(partial)
        await rename(partial, path)
      } finally {
        await remove(partial)
      }
    }
    // Finer than a Date, so that the order of use is never in doubt.
    const nowSeconds = (performance.timeOrigin + performance.now()) / 1000
    await utimes(path, nowSeconds, nowSeconds).catch(() => runAsRoot(['touch', path]))
    await this.#evict(name)
    return path
  }

  /** Does `work` while no other process does work on the same `name`. */
  async alone<T>(name: string, work: () => Promise<T>): Promise<T> {
    await using _lock = await lock(`${this.directory}/alone/${name}`)
    return await work()
  }

  async #evict(name: string): Promise<void> {
    const entries: { path: string; usedMs: number }[] = []
    for (const file of await readdir(this.directory)) {
      if (file.replace(/-[0-9a-f]{16}(\.partial-.*)?$/, '') !== name) continue
      const path = join(this.directory, file)
      if (file.includes('.partial-')) await remove(path)
      else entries.push({ path, usedMs: (await stat(path)).mtimeMs })
    }
    entries.sort((a, b) => b.usedMs - a.usedMs)
    for (const { path } of entries.slice(ENTRIES_KEPT)) await remove(path)
  }
}

/** The cache of this user: NETCOW_CACHE, or a place of its own where caches belong. */
export function userCache(): Cache {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return new Cache(process.env['NETCOW_CACHE'] ?? join(base, 'netcow'))
}

function keyOf(inputs: unknown): string {
  return createHash('sha256').update(JSON.stringify(inputs)).digest('hex').slice(0, 16)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Trees belong to root. */
async function remove(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() =>
    runAsRoot(['rm', '-rf', '--one-file-system', path]),
  )
}

/**
 * Waits until no other process holds `name`. The lock is a listening socket in the abstract
 * namespace: the kernel frees it with its process, and a waiter is woken by the connection ending.
 */
async function lock(name: string): Promise<AsyncDisposable> {
  const address = `\0netcow-${createHash('sha256').update(name).digest('hex')}`
  for (;;) {
    const server = createServer()
    try {
      server.listen(address)
      await once(server, 'listening')
      return held(server)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EADDRINUSE')) throw error
    }
    const holder = connect(address).on('error', () => undefined)
    holder.resume()
    await once(holder, 'close')
  }
}

function held(server: Server): AsyncDisposable {
  const waiting = new Set<{ destroy(): void }>()
  server.on('connection', (socket) => waiting.add(socket))
  server.unref()
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of waiting) socket.destroy()
      await closed
    },
  }
}
