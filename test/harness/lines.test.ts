import { PassThrough } from 'node:stream'
import t from 'tap'
import { Lines } from '../../qemu-harness/lines.ts'

t.test('lines are whole however they arrive, without terminal sequences', async (t) => {
  const port = new PassThrough()
  const lines = new Lines(port)
  for (const part of ['on', 'e\r\n\u001b[32mtw', 'o\u001b[0m\r', '\nthree']) port.write(part)
  port.end()
  const seen: string[] = []
  for await (const line of lines) seen.push(line)
  t.strictSame(seen, ['one', 'two'])
  t.strictSame(lines.tail(2), ['two', 'three'])
})

t.test('a line is found in the past, in the future, and as a prompt', async (t) => {
  const port = new PassThrough()
  const lines = new Lines(port)
  const later = lines.find(/second/)
  port.write('first\nthe second\nlogin: ')
  t.equal(await later, 'the second')
  t.equal(await lines.find(/first/), 'first')
  t.equal(await lines.find(/login: $/), 'login: ')
})

t.test('a search ends with the port', async (t) => {
  const port = new PassThrough()
  const search = new Lines(port).find(/never/)
  port.destroy()
  await t.rejects(search, { message: /never/ })
})
