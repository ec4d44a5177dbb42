import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { unitsFor } from '../../src/boot/generator.ts'

const url = 'http://server/image.qcow2'

t.test('without a word for netcow there is nothing to do', async (t) => {
  t.equal(unitsFor('root=UUID=1 rd.netcowish=1 quiet'), undefined)
})

t.test('beside another root= only the device is brought', async (t) => {
  t.strictSame(unitsFor(`rd.netcow=${url} root=UUID=1`), {})
})

t.test('a word that is wrong still starts the service, which says so', async (t) => {
  t.strictSame(unitsFor(`root=netcow:${url} rd.netcow.overlaay=none`), {})
})

t.test('the root that netcow finds is mounted as the words say', async (t) => {
  const units = unitsFor(`root=netcow:${url} ro rootfstype=xfs rootflags=noatime,subvol=a%b`)
  t.match(units?.sysroot, /^What=\/dev\/netcow\/root$/m)
  t.match(units?.sysroot, /^Type=xfs$/m)
  t.match(units?.sysroot, /^Options=ro,x-initrd\.mount,noatime,subvol=a%%b$/m)
  const plain = unitsFor(`netcow=${url}`)
  t.match(plain?.sysroot, /^Type=auto\nOptions=rw,x-initrd\.mount$/m)
})

t.test('a root that cannot be mounted ends the machine if onfail says so', async (t) => {
  const failure = '[Unit]\nFailureAction=reboot-immediate\n'
  t.strictSame(unitsFor(`rd.netcow=${url} root=UUID=1 rd.netcow.onfail=reboot`), { failure })
  const { failure: own } = unitsFor(`root=netcow:${url} netcow.onfail=poweroff`) ?? {}
  t.equal(own, '[Unit]\nFailureAction=poweroff-immediate\n')
  t.equal(unitsFor(`root=netcow:${url} rd.netcow.onfail=shell`)?.failure, undefined)
})

const analyze = await promisify(execFile)('systemd-analyze', ['--version']).then(
  () => false,
  () => 'there is no systemd-analyze',
)

t.test('systemd takes the unit', { skip: analyze }, async (t) => {
  const units = unitsFor(`root=netcow:${url} rootflags=x=a%b rd.netcow.onfail=reboot`)
  const sysroot = `${units?.failure ?? ''}\n${units?.sysroot ?? ''}`
  const file = `${t.testdir({ 'sysroot.mount': sysroot })}/sysroot.mount`
  const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', file])
  t.notMatch(stderr, /sysroot\.mount:\d+/)
})
