import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { type BootInterface, interfaceTo } from '../../src/boot/keep/boot-interface.ts'
import { keepByIfupdown } from '../../src/boot/keep/ifupdown.ts'
import { parseIni } from '../../src/boot/keep/ini.ts'
import { keepByNetworkManager } from '../../src/boot/keep/network-manager.ts'
import { keepByNetworkd, runsNetworkd } from '../../src/boot/keep/networkd.ts'
import type { System } from '../../src/boot/keep/system.ts'

const BOOT: BootInterface = {
  // There is one everywhere; its state is read from sysfs.
  name: 'lo',
  mac: '52:54:00:12:34:56',
  addresses: ['10.0.2.15/24'],
  lower: [],
  isStatic: false,
  nameServers: ['10.0.2.3'],
}

/** A system made of these files, and an empty /run. */
function system(t: Test, files: Readonly<Record<string, string>>): System {
  const directory = mkdtempSync(join(tmpdir(), 'netcow-network-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const [root, run] = [join(directory, 'root'), join(directory, 'run')]
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return { root, run, hasSystemd: true }
}

function dropIns({ run }: System): string[] {
  const folder = join(run, 'systemd/network')
  return globSync(join(folder, '*.d/*.conf'))
    .map((file) => dirname(relative(folder, file)))
    .sort()
}

t.test('networkd keeps what every file that may match configures', async (t) => {
  const has = system(t, {
    'etc/systemd/network/10-name.network': '[Match]\nName=eth* l?\n[Network]\nDHCP=yes\n',
    'etc/systemd/network/20-mac.network': '[Match]\nMACAddress=52-54-00-12-34-56\n',
    'usr/lib/systemd/network/30-any.network': '[Match]\nType=ether\n',
    'etc/systemd/network/40-other.network': '[Match]\nName=wlan*\n',
    'etc/systemd/network/50-not.network': '[Match]\nName=!lo\n',
    'etc/systemd/network/60-mac.network': '[Match]\nMACAddress=52:54:00:00:00:00\n',
  })
  keepByNetworkd(has, BOOT)
  const names = ['10-name', '20-mac', '30-any', 'zzzz-netcow']
  t.strictSame(
    dropIns(has),
    names.map((name) => `${name}.network.d`),
  )
  const words = join(has.run, 'systemd/network/10-name.network.d/50-netcow.conf')
  t.equal(parseIni(readFileSync(words, 'utf8')).get('Network')?.get('KeepConfiguration'), 'yes')
  t.match(readFileSync(words, 'utf8'), /IgnoreCarrierLoss=yes/)
  const last = readFileSync(join(has.run, 'systemd/network/zzzz-netcow.network'), 'utf8')
  t.match(last, /MACAddress=52:54:00:12:34:56[^]*DHCP=yes/)
  t.notOk(runsNetworkd(has))
})

t.test('networkd is given the address that the kernel command line gave', async (t) => {
  const has = system(t, {})
  keepByNetworkd(has, { ...BOOT, isStatic: true })
  const last = readFileSync(join(has.run, 'systemd/network/zzzz-netcow.network'), 'utf8')
  t.match(last, /Address=10\.0\.2\.15\/24/)
  t.match(last, /DNS=10\.0\.2\.3/)
  t.notMatch(last, /DHCP/)
})

t.test('netplan is kept in either style of YAML', async (t) => {
  const has = system(t, {
    'etc/netplan/a.yaml': 'network:\n  ethernets:\n    uplink:\n      dhcp4: true\n',
    'etc/netplan/b.yaml': '{"network": {"ethernets": {"other0": {"dhcp4": true}}}}\n',
  })
  keepByNetworkd(has, BOOT)
  t.ok(dropIns(has).includes('10-netplan-uplink.network.d'))
  t.ok(dropIns(has).includes('10-netplan-other0.network.d'))
  t.ok(runsNetworkd(has))
})

t.test(
  'NetworkManager takes the interface over with the profile that the system has',
  async (t) => {
    const profile = '[connection]\nuuid=1b6f\ntype=ethernet\ninterface-name=lo\n'
    const has = system(t, { 'etc/NetworkManager/system-connections/lan.nmconnection': profile })
    keepByNetworkManager(has, BOOT)
    const [state = ''] = globSync(join(has.run, 'NetworkManager/devices/*'))
    t.equal(parseIni(readFileSync(state, 'utf8')).get('device')?.get('connection-uuid'), '1b6f')
    t.strictSame(globSync(join(has.run, 'NetworkManager/system-connections/*')), [])
    const settings = readFileSync(join(has.run, 'NetworkManager/conf.d/50-netcow.conf'), 'utf8')
    t.match(settings, /match-device=mac:52:54:00:12:34:56,interface-name:lo\nignore-carrier=yes/)
  },
)

t.test('NetworkManager gets a profile where the system has none for it', async (t) => {
  const other = '[connection]\nuuid=1b6f\ntype=ethernet\ninterface-name=eth9\n'
  const has = system(t, { 'etc/NetworkManager/system-connections/lan.nmconnection': other })
  keepByNetworkManager(has, BOOT)
  const path = join(has.run, 'NetworkManager/system-connections/netcow.nmconnection')
  t.equal(statSync(path).mode & 0o777, 0o600)
  const profile = parseIni(readFileSync(path, 'utf8'))
  t.equal(profile.get('ethernet')?.get('mac-address'), BOOT.mac)
  t.equal(profile.get('ipv4')?.get('method'), 'auto')
  const [state = ''] = globSync(join(has.run, 'NetworkManager/devices/*'))
  const uuid = parseIni(readFileSync(state, 'utf8')).get('device')?.get('connection-uuid')
  t.equal(uuid, profile.get('connection')?.get('uuid'))
})

t.test('NetworkManager leaves a bond alone', async (t) => {
  const has = system(t, {})
  keepByNetworkManager(has, { ...BOOT, name: 'bond0', lower: ['eth0', 'eth1'] })
  const settings = readFileSync(join(has.run, 'NetworkManager/conf.d/50-netcow.conf'), 'utf8')
  const names = 'interface-name:bond0;interface-name:eth0;interface-name:eth1'
  t.equal(parseIni(settings).get('keyfile')?.get('unmanaged-devices'), names)
})

t.test('ifupdown finds the interface up, and never takes it down', async (t) => {
  const has = system(t, {})
  keepByIfupdown(has, { ...BOOT, name: 'bond0', lower: ['eth0'] })
  t.equal(readFileSync(join(has.run, 'network/ifstate'), 'utf8'), 'bond0=bond0\neth0=eth0\n')
  t.equal(readFileSync(join(has.run, 'network/ifstate.eth0'), 'utf8'), 'eth0\n')
  const unit = join(has.run, 'systemd/system/networking.service.d/50-netcow.conf')
  t.match(readFileSync(unit, 'utf8'), /ExecStop=.*ifdown .*--exclude=bond0 --exclude=eth0/)
  const old = { ...system(t, {}), hasSystemd: false }
  keepByIfupdown(old, BOOT)
  t.strictSame(globSync(join(old.run, 'systemd/**')), [], 'a mark of systemd where there is none')
})

t.test('links that lead nowhere from here, and folders, hold nothing up', async (t) => {
  const has = system(t, { 'etc/netplan/a.yaml': 'up0:\n', 'etc/systemd/network/x': '' })
  const link = (path: string) => {
    mkdirSync(dirname(join(has.root, path)), { recursive: true })
    symlinkSync('/only/there', join(has.root, path))
  }
  link('etc/systemd/network/10-linked.network')
  link('etc/netplan/b.yaml')
  link('etc/NetworkManager/system-connections/linked.nmconnection')
  mkdirSync(join(has.root, 'etc/NetworkManager/system-connections/folder'))
  keepByNetworkd(has, BOOT)
  keepByNetworkManager(has, BOOT)
  const named = ['10-linked.network.d', '10-netplan-up0.network.d', 'zzzz-netcow.network.d']
  t.strictSame(dropIns(has), named, 'what a link says may match')
})

t.test('the interface to a server is the one that the kernel would use', async (t) => {
  const boot = await interfaceTo('127.0.0.1', ['127.0.0.1::::host:lo:none'])
  t.equal(
    boot?.name,
    Object.keys(networkInterfaces()).find((name) => name.startsWith('lo')),
  )
  t.ok(boot?.isStatic)
  t.notOk((await interfaceTo('127.0.0.1', ['dhcp']))?.isStatic)
  t.equal(await interfaceTo('no-such-host.invalid', []), undefined)
})
