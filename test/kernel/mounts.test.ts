import t from 'tap'
import { mountPoints, pointsIn } from '../../src/kernel/mounts.ts'

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
