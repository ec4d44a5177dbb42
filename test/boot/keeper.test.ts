import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KEEPER } from '../../src/boot/keeper.ts'

t.setTimeout(120_000)
const SHELLS = [
  ['dash', '/bin/dash'],
  ['bash', '/bin/bash'],
  ['busybox', '/bin/busybox'],
] as const
/** Nobody else may run anything as this user. */
const LONELY_USER = '399911'

/** The Nth of them says its words, and does what the Nth line of the plan says. */
const DAEMON = `#!/bin/sh
cd "\${0%/*}"
echo "$*" >>words
eval "$(sed -n "$(wc -l <words)p" plan)"
`

interface Life {
  /** What the daemons were told, one after the other. */
  readonly words: string[]
  readonly said: string[]
  readonly status: number
}

/** Keeps daemons that do what the plan says; `heal` is called with each line for the kernel's log. */
async function kept(
  t: Test,
  shell: string,
  plan: readonly string[],
  heal: (line: string, keeper: number, place: string) => void = () => {},
  launcher: readonly string[] = [],
): Promise<Life> {
  const place = mkdtempSync(join(tmpdir(), 'netcow-keeper-'))
  t.teardown(() => rmSync(place, { recursive: true }))
  chmodSync(place, 0o777)
  for (const name of ['nbd7.resume', 'log', 'words']) {
    writeFileSync(join(place, name), '')
    chmodSync(join(place, name), 0o666)
  }
  writeFileSync(join(place, 'plan'), plan.join('\n'))
  writeFileSync(join(place, '@netcow'), DAEMON, { mode: 0o755 })
  const script = KEEPER.replaceAll('>/dev/kmsg', `>>${place}/log`).replaceAll('/run/netcow', place)
  const lines = (name: string) => readFileSync(join(place, name), 'utf8').split('\n').slice(0, -1)
  const [program = shell, ...before] = launcher
  const after = launcher.length > 0 ? [shell] : []
  const child = spawn(program, [...before, ...after, '-c', script, '/dev/nbd7', 'url'], {
    argv0: launcher.length > 0 ? program : '@/sh',
    stdio: 'ignore',
    env: { PATH: `${place}:/usr/bin:/bin` },
  })
  let healed = 0
  const watched = watch(join(place, 'log'), () => {
    for (const line of lines('log').slice(healed)) {
      healed++
      heal(line, child.pid!, place)
    }
  })
  // By force, if it goes on although it should not.
  t.teardown(() => child.kill('SIGKILL'))
  const [status] = await once(child, 'exit')
  watched.close()
  return { words: lines('words'), said: lines('log'), status }
}

const line = (status: number, what = 'starting another one') =>
  `<3>netcow: the daemon of /dev/nbd7 ended (${status}), ${what}`
const resumed = (pause: number) => `daemon url --resume=/dev/nbd7 --pause=${pause}`
const END = 'rm nbd7.resume'

for (const [name, shell] of SHELLS) {
  t.test(`in ${name}`, async (t) => {
    t.jobs = 4

    t.test('however a daemon ended, another one follows, each a while later', async (t) => {
      const statuses = [137, 1, 2, 134, 127, 126, 4, 3]
      const plan = statuses.map((status) =>
        status > 128 ? `kill -${status - 128} $$` : `exit ${status}`,
      )
      t.strictSame(await kept(t, shell, [...plan, END]), {
        words: ['daemon url', ...[0, 1, 3, 7, 15, 31, 60, 60].map(resumed)],
        said: statuses.map((status) => line(status)),
        status: 0,
      })
    })

    t.test('one that cannot go on, or has ended in good order, is the last', async (t) => {
      t.strictSame(await kept(t, shell, ['kill -9 $$', 'exit 6']), {
        words: ['daemon url', resumed(0)],
        said: [line(137), line(6, 'and is the last')],
        status: 6,
      })
      const { words } = await kept(t, shell, ['exit 0'])
      t.equal(words.length, 1)
    })

    t.test('before the device is there nothing is started again', async (t) => {
      t.strictSame(await kept(t, shell, [`${END}; exit 3`]), {
        words: ['daemon url'],
        said: [],
        status: 3,
      })
    })

    t.test('one that cannot be executed is tried until it can', async (t) => {
      const life = await kept(t, shell, ['chmod 0 @netcow; kill -9 $$', END], (said, _, place) => {
        if (said === line(126)) chmodSync(join(place, '@netcow'), 0o755)
      })
      t.strictSame([...new Set(life.said)], [line(137), line(126)])
      t.match(life.words, ['daemon url', /--resume=\/dev\/nbd7 --pause=/])
      t.equal(life.status, 0)
    })
  })
}

const skip = process.getuid?.() === 0 ? false : 'only root becomes somebody else'
t.test('where no process can be made', { skip }, async (t) => {
  t.jobs = 3
  const plan = ['prlimit --pid $PPID --nproc=1:1000; kill -9 $$', END]
  const program = 'setpriv'
  const user = [`--reuid=${LONELY_USER}`, '--clear-groups']
  for (const [name, shell] of SHELLS) {
    const words = name === 'busybox' ? [shell, 'sh'] : [shell]
    t.test(`${name} goes on trying, or makes way`, async (t) => {
      const heal = (said: string, keeper: number) => {
        if (said !== line(2)) return
        execFileSync(program, [...user, 'prlimit', '--pid', `${keeper}`, '--nproc=1000:1000'])
      }
      const life = await kept(t, words.pop()!, plan, heal, [program, ...user, ...words])
      t.match(life.words, ['daemon url', /^daemon url --resume=\/dev\/nbd7/])
    })
  }
})
