import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Command } from '../../src/nbd/protocol.ts'
import { NbdClient } from '../fixtures/nbd-client.ts'
import { faultOf } from './nbd-answers.ts'
import { CONTENT_BYTES, EXPORT_BYTES, type ServerReport } from './nbd-server.ts'
import { makeSessions, mutateSession } from './nbd-sessions.ts'
import { Random } from './random.ts'

/**
 * Damages what real clients say, in any pieces, and says it to the server. Each must end in replies
 * of the protocol or a closed connection within these limits (the time is that without a byte), and a client that behaves must be
 * served as ever, all the time.
 *
 *     node test/fuzz/nbd.ts --seconds 60 [--seed 1] [--case 17]
 */
const LIMIT_MS = 10_000
/** The server itself, what it keeps of the export, and the bounds of those who are served at once. */
const LIMIT_BYTES = 700 * 2 ** 20
const CASES_AT_ONCE = 4
const SLOW = 'hang'
/** Of what the server says, the beginning is looked at. */
const MOST_HEARD_BYTES = 16 * 2 ** 20
/** Where what clients said is kept that was answered wrong. */
const RESULTS = 'results/fuzz'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    /** Only this case of the seed. */
    case: { type: 'string' },
  },
})

/** How a client behaves once it has said everything. */
const MANNERS = ['ends', 'ends', 'ends', 'vanishes', 'stays', 'never reads'] as const

const folder = await mkdtemp(join(tmpdir(), 'netcow-fuzz-'))
const socket = join(folder, 'nbd')
const seed = Number(values.seed)
const counts = new Map<string, number>()
const findings: string[] = []
let peakBytes = 0
/** What is told once is not told again. */
let mostBytes = LIMIT_BYTES
let restarting: Promise<ChildProcess> | undefined
let server = await startServer()
const paths = [`${socket}.0`, `${socket}.1`]
const sessions = await makeSessions(paths[1]!)
const end = Date.now() + Number(values.seconds) * 1000
let next = Number(values.case ?? 0)

try {
  const workers = values.case === undefined ? CASES_AT_ONCE : 1
  await Promise.all(Array.from({ length: workers }, work))
} finally {
  server.kill()
  await rm(folder, { recursive: true })
}
const summary = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ')
const peak = `peak ${Math.round(peakBytes / 2 ** 20)} MiB`
console.log(`seed ${seed}: ${summary}; ${peak}; ${findings.length} findings`)
process.exitCode = findings.length > 0 ? 1 : 0

async function startServer(): Promise<ChildProcess> {
  const child = fork(join(import.meta.dirname, 'nbd-server.ts'), [socket])
  child.on('message', ({ kind, text, peakBytes: bytes }: ServerReport) => {
    peakBytes = Math.max(peakBytes, bytes)
    if (kind === 'error') finding('in between', `the server reports: ${text}`)
  })
  await once(child, 'message')
  return child
}

async function work(): Promise<void> {
  do {
    const index = next++
    const said = await attempt(index)
    // A machine with other things to do may be slow once.
    const { fault, bytes } = said.isSlow ? await attempt(index) : said
    if (fault !== undefined) await keep(index, fault, bytes)
  } while (Date.now() < end && values.case === undefined)
}

interface Said {
  readonly bytes: Buffer
  readonly fault: string | undefined
  /** The fault may come of a slow machine. */
  readonly isSlow?: boolean
}

async function attempt(index: number): Promise<Said> {
  const random = new Random(seed * 1_000_003 + index)
  const bytes = Buffer.concat(mutateSession(random.pick(sessions), sessions, random))
  const manner = random.pick(MANNERS)
  const client = connect(random.pick(paths))
  client.on('error', () => {})
  const heard: Buffer[] = []
  let heardBytes = 0
  const hear = (chunk: Buffer) => {
    heardBytes += chunk.length
    if (heardBytes <= MOST_HEARD_BYTES) heard.push(chunk)
  }
  if (manner !== 'never reads') client.on('data', hear)
  for (let at = 0; at < bytes.length;) {
    const piece = 1 + random.below(random.pick([3, 40, 70_000]))
    client.write(bytes.subarray(at, at + piece))
    at += piece
  }
  const closed = new Promise((resolve) => client.once('close', resolve))
  if (manner === 'ends') client.end()
  // What was written is still sent, and nobody waits for an answer.
  if (manner === 'vanishes') client.end(() => client.destroy())
  if (manner === 'stays' || manner === 'never reads') {
    const before = await bystander()
    if (before !== undefined) {
      client.destroy()
      return { bytes, fault: `${before} beside a client that ${manner}`, isSlow: isSlow(before) }
    }
    client.destroy()
  }
  const hung = setTimeout(() => client.destroy(new Error('hang')), LIMIT_MS)
  // Who asks for gigabytes gets them, and that takes its time.
  client.on('data', () => void hung.refresh())
  await closed
  clearTimeout(hung)
  count(manner)
  const fault =
    client.errored?.message === 'hang'
      ? SLOW
      : (faultOf(Buffer.concat(heard), EXPORT_BYTES) ?? (await bystander()))
  return { bytes, fault, isSlow: isSlow(fault) }
}

function isSlow(fault: string | undefined): boolean {
  return fault?.startsWith(SLOW) === true
}

/** What is wrong with the service to a client that behaves; undefined if nothing is. */
async function bystander(): Promise<string | undefined> {
  if (server.exitCode !== null || server.signalCode !== null) {
    const gone = server
    // Others may have found it, too, and begun.
    restarting ??= startServer()
    server = await restarting
    restarting = undefined
    return `crash (${gone.exitCode ?? gone.signalCode})`
  }
  server.send('memory', () => {})
  if (peakBytes > mostBytes) {
    mostBytes = peakBytes
    return `took ${peakBytes} bytes of memory`
  }
  let client: NbdClient | undefined
  let isLate = false
  const late = setTimeout(() => {
    isLate = true
    client?.socket.destroy()
  }, LIMIT_MS)
  try {
    client = await NbdClient.ready(paths[0]!, 'structured')
    const { error, bytes } = await client.request({
      type: Command.read,
      offset: CONTENT_BYTES - 512,
      length: 1024,
    })
    const expected = Buffer.alloc(1024)
    expected.fill(0x5a, 0, 512)
    return error === 0 && bytes.equals(expected) ? undefined : 'a good client gets other bytes'
  } catch (error) {
    return isLate ? `${SLOW}: a good client is not served` : `a good client: ${String(error)}`
  } finally {
    clearTimeout(late)
    client?.socket.destroy()
  }
}

function count(kind: string): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1)
}

function finding(where: string, what: string): void {
  findings.push(what)
  console.log(`${where}: ${what}`)
}

async function keep(index: number, wrong: string, bytes: Buffer): Promise<void> {
  await mkdir(RESULTS, { recursive: true })
  await writeFile(join(RESULTS, `${seed}-${index}.nbd`), bytes)
  finding(`--target nbd --seed ${seed} --case ${index}`, wrong)
}
