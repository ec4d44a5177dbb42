import t from 'tap'
import { fail, onFailOf } from '../../src/boot/failure.ts'

t.test('what follows a failure is known even if other words are wrong', async (t) => {
  t.equal(onFailOf('root=netcow:http://x/y rd.netcow.onfail=reboot rd.netcow.zzz=1'), 'reboot')
  t.equal(onFailOf('netcow.onfail=poweroff'), 'poweroff')
  t.equal(onFailOf('rd.netcow.onfail=reboot netcow.onfail=shell'), 'shell')
  t.equal(onFailOf('rd.netcow.onfail=explode'), 'shell')
  t.equal(onFailOf('quiet'), 'shell')
})

t.test('where a shell is to follow nothing is done', async (t) => {
  const said: string[] = []
  await fail('shell', (line) => said.push(line))
  t.strictSame(said, [])
})
