import { execFile } from 'node:child_process'
import { existsSync, globSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { KernelRefused, SourceUnavailable } from '../../errors.ts'
import { routerOf } from '../keep/boot-interface.ts'
import { type Card, cards, hasCarrier, isNamed } from './cards.ts'
import { askForLease } from './dhcp-client.ts'
import type { Address, Wanted } from './ip-word.ts'

/**
 * The network of an initramfs that has nothing to set one up: one card, one IPv4 address, by hand
 * or by DHCP. What came of it is left where ipconfig of klibc would leave it, for whoever asks.
 */

const leaseFile = (card: string) => `/run/net-${card}.conf`
/** How long a card may take to find its link, as with a switch that looks for loops first. */
const LINK_MS = 10_000
const LOOK_AGAIN_MS = 200

/** What came of it. */
interface Settings {
  readonly address: Address
  readonly mtu?: number
  readonly rootPath?: string
}

/**
 * Sets the network up as `wanted`, unless something has done it before. Asks again and again, and
 * says so. Throws `SourceUnavailable` after `timeoutMs` if there is such a limit, and
 * `KernelRefused` if the settings are not accepted.
 */
export async function setUpNetwork(
  wanted: Wanted,
  timeoutMs: number | undefined,
  say: (line: string) => void,
): Promise<void> {
  if (wanted.how === 'none' || isSetUp()) return
  const startedMs = performance.now()
  for (;;) {
    for (const card of await linked(wanted.card)) {
      const settings = await settingsOf(wanted.how, card)
      if (settings === undefined) continue
      await apply(card, settings)
      writeFileSync(leaseFile(card.name), leaseText(card, settings, wanted.how === 'dhcp'))
      return
    }
    const waitedMs = performance.now() - startedMs
    const line = complaint(wanted, waitedMs)
    if (timeoutMs !== undefined && waitedMs >= timeoutMs) throw new SourceUnavailable(line)
    say(`${line}, asking again`)
  }
}

/** By us or whoever leaves such files; by the kernel with an ip= of its own, or by hand in a shell. */
function isSetUp(): boolean {
  if (globSync('/run/net-*.conf').length > 0) return true
  return cards(undefined).some(({ name }) => routerOf(name) !== undefined)
}

function complaint({ card }: Wanted, waitedMs: number): string {
  const found = cards(card).map(({ name }) => name)
  const seconds = Math.round(waitedMs / 1000)
  if (found.length === 0) return `there is no network card ${card ?? ''}`.trimEnd()
  return `no network on ${found.join(', ')} after ${seconds} s: no link, or no DHCP server`
}

/** The cards with a link, waited for a while if there are none. */
async function linked(wanted: string | undefined): Promise<Card[]> {
  const untilMs = performance.now() + LINK_MS
  for (;;) {
    const found = cards(wanted).filter(isNamed)
    for (const card of found) await ip(['link', 'set', 'dev', card.name, 'up'])
    const ready = found.filter(hasCarrier)
    if (ready.length > 0 || performance.now() > untilMs) return ready
    await sleep(LOOK_AGAIN_MS)
  }
}

async function settingsOf(how: 'dhcp' | Address, card: Card): Promise<Settings | undefined> {
  if (how !== 'dhcp') return { address: how }
  // For as long as there is no address, everything leaves by this card. A try that was killed may have
  // left that behind.
  await ip(['route', 'replace', 'default', 'dev', card.name])
  try {
    const answer = await askForLease(card.hardware)
    if (answer === undefined) return undefined
    const { lease, mtu, rootPath } = answer
    return {
      address: lease,
      ...(mtu !== undefined && { mtu }),
      ...(rootPath !== undefined && { rootPath }),
    }
  } finally {
    await ip(['route', 'del', 'default', 'dev', card.name])
  }
}

async function apply({ name }: Card, { address, mtu }: Settings): Promise<void> {
  if (mtu !== undefined) await ip(['link', 'set', 'dev', name, 'mtu', `${mtu}`])
  // What a try before this one has set stays.
  const set = ['addr', 'replace', `${address.address}/${address.prefix}`]
  await ip([...set, 'broadcast', '+', 'dev', name])
  if (existsSync('/sys/class/net/lo')) await ip(['link', 'set', 'dev', 'lo', 'up'])
  if (address.gateway === undefined) return
  // It need not be in the network of the address, as where each machine has one of its own.
  await ip(['route', 'replace', `${address.gateway}/32`, 'dev', name])
  await ip(['route', 'replace', 'default', 'via', address.gateway, 'dev', name])
}

async function ip(args: readonly string[]): Promise<void> {
  try {
    await promisify(execFile)('ip', args)
  } catch (cause) {
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : ''
    throw new KernelRefused(`ip ${args.join(' ')}: ${said || String(cause)}`, { cause })
  }
}

/** Quoted, as a shell reads it. */
function leaseText({ name }: Card, { address, rootPath }: Settings, dhcp: boolean): string {
  const [first = '0.0.0.0', second = '0.0.0.0'] = address.nameServers
  const words = {
    DEVICE: name,
    PROTO: dhcp ? 'dhcp' : 'none',
    IPV4ADDR: address.address,
    IPV4GATEWAY: address.gateway ?? '0.0.0.0',
    IPV4DNS0: first,
    IPV4DNS1: second,
    ROOTPATH: rootPath ?? '',
  }
  const lines = Object.entries(words).map(
    ([key, value]) => `${key}='${value.replaceAll("'", String.raw`'\''`)}'\n`,
  )
  return lines.join('')
}
