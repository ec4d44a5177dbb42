import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, readFileSync, rmdirSync } from 'node:fs'
import t from 'tap'
import { outliveUnit } from '../../src/kernel/cgroup.ts'

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
    t.equal(readFileSync(`/proc/${child.pid}/cgroup`, 'utf8').match(/^0::(.*)$/m)?.[1], '/netcow')
    outliveUnit(child.pid!)
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  t.doesNotThrow(() => outliveUnit(child.pid!), 'it may have ended')
  rmdirSync('/sys/fs/cgroup/netcow')
})
