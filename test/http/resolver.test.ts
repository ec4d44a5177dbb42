import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nameServers, resolvConf } from '../../src/http/name-servers.ts'
import { NameResolver } from '../../src/http/resolver.ts'
import { LeapingClock } from '../fixtures/http-options.ts'
import { NameServer } from '../fixtures/name-server.ts'

/** Names in an initramfs and, above all, after it. */

const directory = t.testdir({ etc: {}, run: { systemd: { netif: { leases: {} } } } })
const etc = join(directory, 'etc')
const run = join(directory, 'run')
const files = { etc, run }
const lease = (text: string) => writeFileSync(join(run, 'systemd/netif/leases/2'), text)
const dns = await NameServer.open()
t.teardown(() => dns[Symbol.asyncDispose]())
dns.names.set('images.example.test', '10.1.2.3')

t.test('name servers are read from what each network handler leaves', async (t) => {
  const folder = t.testdir({
    systemd: {
      netif: {
        leases: { 2: 'ADDRESS=10.0.2.15\nDNS=10.0.2.3 fd00::3\nDOMAINNAME=lease.test\n' },
        links: { 3: 'ADMIN_STATE=configured\nDNS=10.9.9.9:5353#dns.test 10.0.2.3\nDOMAINS=~.\n' },
      },
    },
    NetworkManager: { 'resolv.conf': '# made\nsearch nm.test\nnameserver 10.7.7.7\n' },
    'net-eth0.conf': "IPV4DNS0='10.8.8.8'\nIPV4DNS1='0.0.0.0'\nDNSDOMAIN='pool.test'\n",
  })
  t.strictSame(nameServers({ run: folder }), {
    servers: ['10.0.2.3', 'fd00::3', '10.9.9.9:5353', '10.7.7.7'],
    search: ['lease.test', 'nm.test', 'pool.test'],
  })
  t.strictSame(nameServers({ run: join(folder, 'NetworkManager') }), { servers: [], search: [] })
})

t.test('what was copied is asked after what the leases say', async (t) => {
  lease('DNS=10.0.0.1\n')
  const copied = { servers: ['10.0.0.2', '10.0.0.1'], search: ['copied.test'] }
  t.strictSame(nameServers(files, copied), {
    servers: ['10.0.0.1', '10.0.0.2'],
    search: ['copied.test'],
  })
})

t.test('resolv.conf: rubbish is left out', async (t) => {
  const folder = t.testdir({
    'resolv.conf': 'nameserver localhost\nnameserver 127.0.0.53\noptions edns0\nnameserver\n',
  })
  t.strictSame(resolvConf({ etc: folder }), { servers: ['127.0.0.53'], search: [] })
})

t.test(
  'without resolv.conf the servers of the leases are asked, with search domains',
  async (t) => {
    lease(`DNS=127.0.0.1:${dns.port}\nDOMAINNAME=example.test\n`)
    const resolver = new NameResolver(files)
    const expected = [{ address: '10.1.2.3', family: 4 }]
    t.strictSame(await resolver.addresses('images.example.test'), expected)
    t.strictSame(await resolver.addresses('images'), expected, 'a short name')
    t.strictSame(await resolver.addresses('IMAGES.Example.test.'), expected)
    await t.rejects(resolver.addresses('nobody.example.test'), { code: 'ENOTFOUND' })
  },
)

t.test('the name servers of a lease that has ended are asked on', async (t) => {
  lease(`DNS=127.0.0.1:${dns.port}\n`)
  const resolver = new NameResolver(files)
  lease('')
  const expected = [{ address: '10.1.2.3', family: 4 }]
  t.strictSame(await resolver.addresses('images.example.test'), expected, 'that of the start')
  await using other = await NameServer.open()
  other.names.set('more.example.test', '10.2.2.2')
  lease(`DNS=127.0.0.1:${other.port}\n`)
  const more = [{ address: '10.2.2.2', family: 4 }]
  t.strictSame(await resolver.addresses('more.example.test'), more)
  lease('')
  other.names.set('late.example.test', '10.2.2.2')
  t.strictSame(await resolver.addresses('late.example.test'), more, 'the newest first')
  lease(`DNS=127.0.0.1:${dns.port}\n`)
})

t.test('hosts is remembered from the start, and needs no name server', async (t) => {
  rmSync(join(run, 'systemd/netif/leases/2'))
  writeFileSync(
    join(etc, 'hosts'),
    '10.4.4.4 Server server.test # the one\n::4 server\nrubbish x\n',
  )
  const resolver = new NameResolver(files)
  rmSync(join(etc, 'hosts'))
  t.strictSame(await resolver.addresses('server'), [
    { address: '10.4.4.4', family: 4 },
    { address: '::4', family: 6 },
  ])
  await t.rejects(resolver.addresses('other.test'), { code: 'EAI_AGAIN' })
})

t.test('resolv.conf is asked by the system while it is there', async (t) => {
  writeFileSync(join(etc, 'resolv.conf'), 'nameserver 192.0.2.1\n')
  const resolver = new NameResolver(files)
  t.ok((await resolver.addresses('localhost')).length > 0)
  rmSync(join(etc, 'resolv.conf'))
})

t.test('a new lease counts; without any answer the last one is good for ever', async (t) => {
  const clock = new LeapingClock()
  await using first = await NameServer.open()
  first.names.set('images.example.test', '10.1.1.1')
  lease(`DNS=127.0.0.1:${first.port}\n`)
  const resolver = new NameResolver(files, clock)
  const address = async () => (await resolver.addresses('images.example.test'))[0]?.address
  t.equal(await address(), '10.1.1.1')
  t.equal(await address(), '10.1.1.1')
  t.equal(first.asked.length, 2, 'once, for both families')
  lease(`DNS=127.0.0.1:${dns.port}\n`)
  t.equal(await address(), '10.1.1.1', 'an answer is good for a minute')
  await clock.sleep(61_000)
  // The old answer is at hand at once; the new one as soon as it comes.
  await address()
  while ((await address()) !== '10.1.2.3') await new Promise((resolve) => setImmediate(resolve))
  dns.names.delete('images.example.test')
  await clock.sleep(61_000)
  t.equal(await address(), '10.1.2.3')
  dns.names.set('images.example.test', '10.1.2.3')
})

t.test('lookup answers as node:dns does', async (t) => {
  lease(`DNS=127.0.0.1:${dns.port}\n`)
  const { lookup } = new NameResolver(files)
  const one = await new Promise((resolve) => {
    lookup('images.example.test', {}, (...answer) => resolve(answer))
  })
  t.strictSame(one, [null, '10.1.2.3', 4])
  const all = await new Promise((resolve) => {
    lookup('images.example.test', { all: true }, (...answer) => resolve(answer))
  })
  t.strictSame(all, [null, [{ address: '10.1.2.3', family: 4 }]])
  const six = await new Promise((resolve) => {
    lookup('images.example.test', { family: 6 }, (error) => resolve(error?.code))
  })
  t.equal(six, 'ENOTFOUND')
})

t.test('of any number of names the latest are remembered', async (t) => {
  await using server = await NameServer.open()
  lease(`DNS=127.0.0.1:${server.port}\n`)
  const resolver = new NameResolver(files)
  const names = Array.from({ length: 65 }, (_, number) => `host${number}.example.test`)
  for (const name of names) {
    server.names.set(name, '10.1.1.1')
    await resolver.addresses(name)
  }
  server.names.clear()
  await t.rejects(resolver.addresses(names[0]!), { code: 'ENOTFOUND' })
  t.strictSame(await resolver.addresses(names[1]!), [{ address: '10.1.1.1', family: 4 }])
})
