import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Cache } from '../../qemu-harness/cache.ts'

async function newCache(t: Test): Promise<Cache> {
  const directory = await mkdtemp(join(tmpdir(), 'netcow-cache-'))
  t.teardown(() => rm(directory, { recursive: true }))
  return new Cache(directory)
}

t.test('an entry is built once for the same inputs', async (t) => {
  const cache = await newCache(t)
  let built = 0
  const build = (path: string) => writeFile(path, `${++built}`)
  const first = await cache.entry('thing', { a: 1 }, build)
  t.equal(await cache.entry('thing', { a: 1 }, build), first)
  t.equal(built, 1)
  t.not(await cache.entry('thing', { a: 2 }, build), first)
  t.equal(built, 2)
})

t.test('an entry that is asked for twice at the same time is built once', async (t) => {
  const cache = await newCache(t)
  let built = 0
  const build = (path: string) => writeFile(path, `${++built}`)
  const asked = [1, 2, 3].map(() => cache.entry('thing', 'same', build))
  const [path] = await Promise.all(asked)
  t.equal(await readFile(path!, 'utf8'), '1')
  t.equal(built, 1)
})

t.test('a build that fails leaves nothing, and may be tried again', async (t) => {
  const cache = await newCache(t)
  const failing = async (path: string) => {
    await writeFile(path, 'half')
    throw new Error('no')
  }
  await t.rejects(cache.entry('thing', 'x', failing), { message: 'no' })
  t.strictSame(await readdir(cache.directory), [])
  const path = await cache.entry('thing', 'x', (path) => writeFile(path, 'whole'))
  t.equal(await readFile(path, 'utf8'), 'whole')
})

t.test('what a killed run left half made is removed', async (t) => {
  const cache = await newCache(t)
  const half = join(cache.directory, 'thing-0123456789abcdef.partial-x')
  await writeFile(half, '')
  await cache.entry('thing', 'x', (path) => writeFile(path, ''))
  t.notOk(existsSync(half))
})

t.test('of each name only the two used last are kept', async (t) => {
  const cache = await newCache(t)
  const make = (name: string, input: number) =>
    cache.entry(name, input, (path) => writeFile(path, ''))
  const other = await make('thing-two', 1)
  const paths: string[] = []
  for (const input of [1, 2, 1, 3]) paths.push(await make('thing', input))
  t.strictSame(paths.map(existsSync), [true, false, true, true])
  t.ok(existsSync(other))
})
