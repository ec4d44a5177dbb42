import { readFileSync, readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'
import t from 'tap'
import { answerFirst } from '../../src/kernel/process.ts'

/** Of each thread of this process, by its name (proc(5)). */
function nicenessOf(name: string): number[] {
  return readdirSync('/proc/self/task').flatMap((thread) => {
    const stat = readFileSync(`/proc/self/task/${thread}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')')).split(' ')
    return stat.includes(`(${name})`) ? [Number(fields[17])] : []
  })
}

const isFree = getPriority() === 0
t.test('who answers comes before those that decompress', { skip: !isFree }, async (t) => {
  t.teardown(() => setPriority(0, 0))
  await answerFirst()
  const isRoot = process.getuid?.() === 0
  t.equal(getPriority(), isRoot ? -5 : 0)
  const workers = nicenessOf('libuv-worker')
  t.ok(workers.length > 0)
  t.strictSame(new Set(workers), new Set([0]), 'the others stay what they were')
})
