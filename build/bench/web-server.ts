import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { asRoot, runAsRoot } from '../../qemu-harness/command.ts'

const START_MS = 10_000
const LOOK_AGAIN_MS = 10

/** What a web server was asked for and sent, of bodies. */
export interface WebTraffic {
  readonly requests: number
  readonly bytes: number
}

/** An nginx with a configuration of its own, in a tree, on a port of loopback. */
export class WebServer implements AsyncDisposable {
  readonly port: number
  readonly #child: ChildProcess
  readonly #log: string

  private constructor(port: number, child: ChildProcess, log: string) {
    this.port = port
    this.#child = child
    this.#log = log
  }

  /**
   * @param folder within `tree`, for its log and caches; exists
   * @param location the directives of `location /`; paths in it are as the tree sees them
   */
  static async start(
    tree: string,
    folder: string,
    location: string,
    http = '',
  ): Promise<WebServer> {
    await mkdir(folder, { recursive: true })
    const port = await freePort()
    const within = folder.slice(tree.length)
    const log = join(folder, 'access.log')
    await writeFile(log, '')
    await writeFile(join(folder, 'nginx.conf'), configuration(port, within, location, http))
    const words = ['nginx', '-e', 'stderr', '-p', within, '-c', join(within, 'nginx.conf')]
    const [program = '', ...args] = asRoot(['chroot', tree, ...words])
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    const said = text(child.stderr)
    const server = new WebServer(port, child, log)
    const deadline = performance.now() + START_MS
    while (!(await answers(port))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        await server[Symbol.asyncDispose]()
        throw new Error(`nginx does not start: ${await said}`)
      }
      await sleep(LOOK_AGAIN_MS)
    }
    return server
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** All since it started, or since the log was last emptied. */
  async traffic(): Promise<WebTraffic> {
    const lines = await this.log()
    const bytes = lines.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)
    return { requests: lines.length, bytes }
  }

  /** `STATUS BYTES RANGE` of each request. */
  async log(): Promise<string[]> {
    return (await readFile(this.#log, 'utf8')).split('\n').filter(Boolean)
  }

  async forget(): Promise<void> {
    await runAsRoot(['truncate', '--size=0', this.#log])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    await runAsRoot(['kill', '-TERM', `${this.#child.pid}`]).catch(() => {})
    await ended
  }
}

/** One worker; a connection is never closed for having been used often. */
function configuration(port: number, folder: string, location: string, http: string): string {
  return `user root;
daemon off;
worker_processes 1;
pid ${folder}/pid;
events { worker_connections 4096; }
http {
  log_format bench '$status $body_bytes_sent $http_range';
  access_log ${folder}/access.log bench;
  sendfile on;
  tcp_nodelay on;
  keepalive_requests 1000000;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join(' ')}
  ${http}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { ${location} }
  }
}
`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answers(port: number): Promise<boolean> {
  const connection = connect(port, '127.0.0.1')
  try {
    await once(connection, 'connect')
    return true
  } catch {
    return false
  } finally {
    connection.destroy()
  }
}
