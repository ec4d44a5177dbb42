import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * A machine whose resolv.conf is that of another network, as one is that was kept of the initramfs:
 * $1 is the repository, $2 Node, $3 a program, $4 a folder for what stands in files.
 */
const MACHINE = `
set -e
ip link set lo up
printf 'nameserver 127.0.0.9\\noptions timeout:20 attempts:1\\n' >"$4/resolv.conf"
echo 'hosts: files dns' >"$4/nsswitch.conf"
mount --bind "$4/resolv.conf" /etc/resolv.conf
mount --bind "$4/nsswitch.conf" /etc/nsswitch.conf
cd "$1"
exec "$2" --disable-warning=ExperimentalWarning --input-type=module --eval "$3" "$4"
`

/** Asks while the name server of resolv.conf takes its time, and says which answer came first: that of the resolver, or none of the system. */
const ASKS = `
  import { createSocket } from 'node:dgram'
  import { once } from 'node:events'
  import { lookup } from 'node:dns/promises'
  import { mkdirSync, writeFileSync } from 'node:fs'
  import { NameResolver } from './src/http/resolver.ts'
  import { NameServer } from './test/fixtures/name-server.ts'
  const [, run] = process.argv
  const slow = createSocket('udp4')
  const { promise: late, resolve } = Promise.withResolvers()
  slow.on('message', async (question, { address, port }) => {
    await late
    // There is no such name.
    question.writeUInt16BE(0x8183, 2)
    slow.send(question, port, address)
  })
  slow.bind(53, '127.0.0.9')
  await once(slow, 'listening')
  const dns = await NameServer.open()
  dns.names.set('images.example.test', '10.1.2.3')
  mkdirSync(run + '/systemd/netif/leases', { recursive: true })
  writeFileSync(run + '/systemd/netif/leases/2', 'DNS=127.0.0.1:' + dns.port)
  const resolver = new NameResolver({ etc: '/etc', run })
  const system = lookup('images.example.test').catch(({ code }) => code)
  const first = await Promise.race([resolver.addresses('images.example.test'), system])
  resolve()
  console.log(JSON.stringify({ first, later: await system }))
  process.exit()
`

const skip = process.getuid?.() === 0 ? false : 'only root may mount'

t.test('where the system gets no answer, the servers of a lease have one', { skip }, async (t) => {
  const unshare = ['--mount', '--net', 'sh', '-c', MACHINE, 'sh']
  const words = [resolve('.'), process.execPath, ASKS, t.testdir()]
  const { stdout } = await promisify(execFile)('unshare', [...unshare, ...words])
  t.strictSame(JSON.parse(stdout), {
    first: [{ address: '10.1.2.3', family: 4 }],
    later: 'ENOTFOUND',
  })
})
