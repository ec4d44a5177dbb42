import { existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { lineOf } from '../cli/terminal.ts'
import { keepDirtyLimit } from './dirty-limit.ts'
import { keepNetwork } from './keep/keep-network.ts'
import { REFUGE, makeRefuge, switchRootUnmountsFirst } from './refuge.ts'

/**
 * What is done when the root is mounted and before it becomes the root: everything that the system
 * in it must be told in order not to pull the network or the daemon from under itself. Most of it is
 * a file in /run, which that system finds there. A step that fails is said, and the boot goes on.
 */

export interface Leaving {
  /** Where the root is mounted. */
  readonly root: string
  /** Names or addresses of what the image is reached by, the first first; none if it is not on a server. */
  readonly hosts: readonly string[]
  /** The values of `ip=` on the kernel command line. */
  readonly ipWords: readonly string[]
}

type Say = (line: string) => void

export async function prepareToLeave({ root, hosts, ipWords }: Leaving, say: Say): Promise<void> {
  const hasSystemd = existsSync(join(root, 'usr/lib/systemd/systemd')) && !bootsOther(root)
  if (hosts.length > 0) {
    await step('the network may not be kept', say, async () => {
      const boot = await keepNetwork({ root, run: '/run', hasSystemd }, hosts, ipWords, say)
      say(boot === undefined ? 'no interface leads to the server' : `${boot.name} is kept up`)
    })
  }
  await step('suspend may not be refused', say, async () => {
    refuseSleep()
    if (hasSystemd) say('suspend is switched off: a root on the network would not wake up')
  })
  await step(
    'the system may let more be written than a full overlay has room for',
    say,
    async () => {
      keepDirtyLimit('/run')
    },
  )
  await step('at shutdown the root will only be made read-only', say, async () => {
    if (!hasSystemd) return
    if (dracutTakesOver(root)) say("dracut's own shutdown will take the root apart")
    else if (!existsSync(join(REFUGE, 'shutdown'))) makeRefuge(switchRootUnmountsFirst())
  })
}

async function step(whatMayCome: string, say: Say, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    say(`${whatMayCome}: ${lineOf(error)}`)
  }
}

/** systemd may be installed and not be what starts the system. */
function bootsOther(root: string): boolean {
  try {
    return !readlinkSync(join(root, 'usr/sbin/init')).includes('systemd')
  } catch {
    return existsSync(join(root, 'usr/sbin/init'))
  }
}

/** A module of dracut's has asked for its shutdown, and the system can unpack it. */
function dracutTakesOver(root: string): boolean {
  const asked = existsSync(join(REFUGE, '.need_shutdown'))
  return asked && existsSync(join(root, 'usr/lib/dracut/dracut-initramfs-restore'))
}

/** The card sleeps before the disks do, and ours is behind it (systemd-sleep.conf(5)). */
function refuseSleep(): void {
  const folder = '/run/systemd/sleep.conf.d'
  mkdirSync(folder, { recursive: true })
  const verbs = ['Suspend', 'Hibernation', 'SuspendThenHibernate', 'HybridSleep']
  const lines = verbs.map((verb) => `Allow${verb}=no\n`)
  writeFileSync(join(folder, '50-netcow.conf'), `[Sleep]\n${lines.join('')}`)
}
