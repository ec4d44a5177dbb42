import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { isIPv4 } from 'node:net'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import { prefixOf, wantedNetwork } from '../../src/boot/network/ip-word.ts'
import { OFFER, decodeAnswer, encodeQuestion } from '../../src/boot/network/dhcp-message.ts'
import { UsageError } from '../../src/errors.ts'

const run = promisify(execFile)

t.test('ip= and BOOTIF= say how the network is set up', async (t) => {
  const mac = '52:54:00:12:34:56'
  const by = (address: object) => ({ how: { nameServers: [], ...address } })
  const cases: readonly (readonly [string, object])[] = [
    ['root=x', { how: 'dhcp' }],
    ['ip=dhcp', { how: 'dhcp' }],
    ['ip=eth1:dhcp', { how: 'dhcp', card: 'eth1' }],
    ['ip=:::::eth1:dhcp', { how: 'dhcp', card: 'eth1' }],
    ['ip=off', { how: 'none' }],
    ['BOOTIF=01-52-54-00-12-34-56', { how: 'dhcp', card: mac }],
    ['BOOTIF=52:54:00:12:34:56 ip=dhcp', { how: 'dhcp', card: mac }],
    ['ip=10.0.0.5:::255.255.255.0', by({ address: '10.0.0.5', prefix: 24 })],
    [
      'ip=10.0.0.5::10.0.0.1:20:host:eth0:none:10.0.0.2:10.0.0.3',
      {
        how: {
          address: '10.0.0.5',
          prefix: 20,
          gateway: '10.0.0.1',
          nameServers: ['10.0.0.2', '10.0.0.3'],
        },
        card: 'eth0',
      },
    ],
  ]
  for (const [line, wanted] of cases) t.strictSame(wantedNetwork(line), wanted, line)
  const wrong = ['ip=10.0.0.5', 'ip=1.2.3.4:::33', 'ip=1.2.3:::24', 'ip=x', 'BOOTIF=01-52']
  for (const line of wrong) t.throws(() => wantedNetwork(line), UsageError, line)
})

t.test('a netmask is a length, or bits that are one run of ones', async (t) => {
  t.strictSame(
    ['24', '255.255.240.0', '255.255.255.255', '0', '33', '255.0.255.0', '0.0.0.0', ''].map(
      prefixOf,
    ),
    [24, 20, 32, undefined, undefined, undefined, undefined, undefined],
  )
})

t.test('an answer that is cut, or for somebody else, is none', async (t) => {
  const hardware = Uint8Array.from([2, 0, 0, 0, 0, 1])
  const message = encodeQuestion({ type: 1, transaction: 7, hardware })
  t.equal(decodeAnswer(message, hardware), undefined, 'a question')
  message[0] = 2
  t.equal(decodeAnswer(message, hardware), undefined, 'no server')
  const head = message.subarray(0, 240)
  const options = [53, 1, OFFER, 54, 4, 10, 0, 0, 1]
  const answer = (more: readonly number[]) =>
    decodeAnswer(Uint8Array.from([...head, ...options, ...more]), hardware)
  t.match(answer([1, 4, 255, 255, 255, 0, 255]), { type: OFFER, lease: { prefix: 24 } })
  t.match(answer([6, 200, 1]), { lease: { nameServers: [] } }, 'an option beyond the end')
  t.match(answer([17, 2, 65, 66, 0, 17, 1, 67, 26, 2, 0, 1]), { rootPath: 'ABC' }, 'in two parts')
  t.equal(answer([26, 2, 0, 1])?.mtu, undefined, 'less than IPv4 allows')
  t.equal(decodeAnswer(message.subarray(0, 239), hardware), undefined, 'too short')
  t.equal(decodeAnswer(message, Uint8Array.from([2, 0, 0, 0, 0, 2])), undefined)
})

t.test('whatever comes in is an answer or none', async (t) => {
  const hardware = Uint8Array.from([2, 0, 0, 0, 0, 1])
  const head = encodeQuestion({ type: 1, transaction: 7, hardware }).subarray(0, 240)
  head[0] = 2
  const said = [53, 1, OFFER, 54, 4, 10, 0, 0, 1]
  const option = fc.tuple(fc.constantFrom(1, 3, 6, 17, 26, 99), fc.uint8Array({ maxLength: 20 }))
  const sound = fc.array(option, { maxLength: 8 })
  fc.assert(
    fc.property(sound, fc.uint8Array({ maxLength: 40 }), (options, garbage) => {
      const more = options.flatMap(([code, value]) => [code, value.length, ...value])
      const answer = decodeAnswer(
        Uint8Array.from([...head, ...said, ...more, ...garbage]),
        hardware,
      )
      // Garbage may say that it is another server, in more parts than one.
      if (answer === undefined) return
      const { prefix, nameServers } = answer.lease
      assert(prefix >= 1 && prefix <= 32 && nameServers.every((server) => isIPv4(server)))
      assert(answer.mtu === undefined || answer.mtu >= 68)
    }),
  )
  t.pass()
})

/** Two network namespaces with a cable between them, and dnsmasq in the second. */
const CABLE = `
set -e
ip netns add $1-client
ip netns add $1-server
ip -n $1-client link add name card0 address 52:54:00:12:34:56 type veth peer name card1 netns $1-server
ip -n $1-server addr add 192.0.2.1/24 dev card1
ip -n $1-server link set card1 up
`
const ROOT_PATH = "netcow:http://192.0.2.1/it's.qcow2"
const DNSMASQ = [
  ['dnsmasq', '--no-daemon', '--no-ping', '--conf-file=/dev/null', '--port=0'],
  ['--interface=card1'],
  ['--dhcp-range=192.0.2.10,192.0.2.19,255.255.255.0', '--dhcp-leasefile=/dev/null'],
  ['--dhcp-option=3,198.51.100.1', '--dhcp-option=6,192.0.2.7', '--dhcp-option=26,1400'],
  [`--dhcp-option=17,${ROOT_PATH}`],
].flat()

async function lacking(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'only root may make network namespaces'
  const tools = await Promise.all(
    ['ip', 'dnsmasq'].map((tool) => run('sh', ['-c', `command -v ${tool}`]).catch(() => tool)),
  )
  const absent = tools.find((tool) => typeof tool === 'string')
  return absent === undefined ? undefined : `there is no ${absent}`
}

t.test('dnsmasq gives an address', { skip: (await lacking()) ?? false }, async (t) => {
  const name = `netcow-${process.pid}`
  t.teardown(() => run('sh', ['-c', `ip netns del ${name}-client; ip netns del ${name}-server`]))
  await run('sh', ['-c', CABLE.replaceAll('$1', name)])
  const server = spawn('ip', ['netns', 'exec', `${name}-server`, ...DNSMASQ], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  t.teardown(async () => {
    server.kill()
    await once(server, 'close')
  })
  for await (const line of createInterface(server.stderr)) if (/DHCP, IP range/.test(line)) break

  const ask = `
    import { wantedNetwork } from './src/boot/network/ip-word.ts'
    import { setUpNetwork } from './src/boot/network/network.ts'
    await setUpNetwork(wantedNetwork('BOOTIF=01-52-54-00-12-34-56'), 60_000, console.error)`
  // The last try came to the address, and no further; the one before to a question.
  const script = `
    mount -t tmpfs tmpfs /run
    ip link set card0 up
    ip route add default dev card0
    for last in 0 1 2 3 4 5 6 7 8 9; do ip addr add 192.0.2.1$last/24 broadcast + dev card0; done
    "$0" --input-type=module --eval "$1" || exit
    ip -oneline -4 addr show dev card0
    ip route
    cat /run/net-card0.conf /sys/class/net/card0/mtu
    . /run/net-card0.conf && echo "root path $ROOTPATH"`
  const command = ['netns', 'exec', `${name}-client`, 'sh', '-c', script, process.execPath, ask]
  const { stdout } = await run('ip', command)
  t.match(stdout, /inet 192\.0\.2\.1\d\/24 brd 192\.0\.2\.255/)
  t.match(stdout, /^default via 198\.51\.100\.1 dev card0 *$/m)
  t.match(stdout, /^1400$/m)
  t.match(stdout, /^IPV4DNS0='192\.0\.2\.7'$/m)
  t.ok(stdout.includes(`root path ${ROOT_PATH}\n`), 'quoted for a shell')
})

t.test('a network that is there is left alone', { skip: (await lacking()) ?? false }, async (t) => {
  const ask = `
    import { setUpNetwork } from './src/boot/network/network.ts'
    await setUpNetwork({ how: 'dhcp' }, 0, console.error)`
  const script = `
    mount -t sysfs sysfs /sys
    mount -t tmpfs tmpfs /run
    ip link add card0 type veth peer name card1
    ip link set card1 up
    ip link set card0 up
    ip addr add 192.0.2.5/24 dev card0
    ip route add default via 192.0.2.1 dev card0
    "$0" --input-type=module --eval "$1" || exit
    ls /run
    ip -4 route`
  const command = ['--net', '--mount', 'sh', '-c', script, process.execPath, ask]
  const { stdout } = await run('unshare', command)
  t.match(stdout, /^default via 192\.0\.2\.1 dev card0 *$/m)
  t.notMatch(stdout, /net-card0/)
})
