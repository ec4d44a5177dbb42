import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { outliveUnit, startUnswapped } from '../../src/kernel/cgroup.ts'

function canMakeGroups(): boolean {
  try {
    accessSync('/sys/fs/cgroup/cgroup.procs', constants.W_OK)
    return true
  } catch {
    return false
  }
}

const skip = canMakeGroups() ? false : 'needs root, and the unified hierarchy of control groups'

t.test('a process is taken out of the unit that it was started in', { skip }, async (t) => {
  const child = spawn('sleep', ['1000'])
  const ended = once(child, 'exit')
  try {
    outliveUnit(child.pid!)
    t.equal(
      readFileSync(`/proc/${child.pid}/cgroup`, 'utf8').match(/^0::(.*)$/m)?.[1],
      '/netcow/daemons',
    )
    outliveUnit(child.pid!)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  t.doesNotThrow(() => outliveUnit(child.pid!), 'it may have ended')
  rmdirSync('/sys/fs/cgroup/netcow/daemons')
  rmdirSync('/sys/fs/cgroup/netcow')
})

/** A tree with the files of a hierarchy, in which this process is in a unit. */
function tree(t: Test, controllers: string) {
  const root = t.testdir({ 'cgroup.controllers': controllers, unit: {} })
  const read = (path: string) => readFileSync(join(root, path), 'utf8')
  return { root, own: '/unit', read }
}

t.test('what is started unswapped begins in a group that may not swap', async (t) => {
  const { read, ...hierarchy } = tree(t, 'cpuset cpu io memory pids\n')
  const { started, unswapped } = startUnswapped(() => {
    t.equal(read('netcow/daemons/memory.swap.max'), '0')
    t.equal(read('netcow/daemons/cgroup.procs'), `${process.pid}`)
    t.notOk(existsSync(join(hierarchy.root, 'unit/cgroup.procs')))
    return 'started'
  }, hierarchy)
  t.strictSame({ started, unswapped }, { started: 'started', unswapped: true })
  t.equal(read('cgroup.subtree_control'), '+memory')
  t.equal(read('netcow/cgroup.subtree_control'), '+memory')
  t.equal(read('unit/cgroup.procs'), `${process.pid}`, 'who started it is back in its unit')
})

t.test('who starts it goes back also if it could not be started', async (t) => {
  const { read, ...hierarchy } = tree(t, 'memory\n')
  const start = () => {
    throw new RangeError('not today')
  }
  t.throws(() => startUnswapped(start, hierarchy), /not today/)
  t.equal(read('unit/cgroup.procs'), `${process.pid}`)
})

t.test('where memory or swap is not counted it is started where we are', async (t) => {
  const without = tree(t, 'cpuset cpu io pids\n')
  t.strictSame(
    startUnswapped(() => 1, without),
    { started: 1, unswapped: false },
  )
  t.notOk(existsSync(join(without.root, 'netcow')), 'nothing is made there')
  const kernel = tree(t, 'memory\n')
  // As if the kernel had no such file.
  mkdirSync(join(kernel.root, 'netcow/daemons/memory.swap.max'), { recursive: true })
  t.strictSame(
    startUnswapped(() => 2, kernel),
    { started: 2, unswapped: false },
  )
  t.notOk(existsSync(join(kernel.root, 'unit/cgroup.procs')))
  const none = { root: join(without.root, 'nowhere'), own: '' }
  t.strictSame(
    startUnswapped(() => 3, none),
    { started: 3, unswapped: false },
  )
})
