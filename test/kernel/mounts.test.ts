import t from 'tap'
import { KernelRefused } from '../../src/errors.ts'
import { mountPoints, mountReadOnly, pointsIn } from '../../src/kernel/mounts.ts'

t.test('mount points with odd characters are read as they are', async (t) => {
  const lines = [
    '22 28 0:20 / /sys rw,nosuid - sysfs sysfs rw',
    '36 35 98:0 /mnt1 /mnt\\040two\\134x rw,noatime master:1 - ext3 /dev/root rw',
  ]
  t.strictSame(pointsIn(lines.join('\n')), ['/sys', '/mnt two\\x'])
})

t.test('what is mounted here begins with the root', async (t) => {
  t.ok(mountPoints().includes('/'))
  t.ok(mountPoints().includes('/proc'))
})

const skip = process.getuid?.() !== 0 && 'mount(2) is for root'
t.test('a file system that the kernel does not know is said to be that', { skip }, async (t) => {
  const refused = () => mountReadOnly('/dev/null', t.testdir(), 'netcow-no-such-type')
  t.throws(refused, KernelRefused)
  t.throws(refused, { message: 'the kernel has no driver for netcow-no-such-type' })
})
