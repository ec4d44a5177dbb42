import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { keepDirtyLimit } from '../../src/boot/dirty-limit.ts'

t.test('the system sets again what the boot has set, behind its own files', async (t) => {
  const now = t.testdir({
    dirty_background_bytes: '16000000\n',
    dirty_bytes: '32000000\n',
    run: {},
  })
  keepDirtyLimit(join(now, 'run'), now)
  t.equal(
    readFileSync(join(now, 'run/sysctl.d/zz-netcow.conf'), 'utf8'),
    'vm.dirty_background_bytes = 16000000\nvm.dirty_bytes = 32000000\n',
  )
})

t.test('where no limit is set none is', async (t) => {
  const now = t.testdir({ dirty_background_bytes: '0\n', dirty_bytes: '0\n', run: {} })
  keepDirtyLimit(join(now, 'run'), now)
  t.notOk(existsSync(join(now, 'run/sysctl.d')))
})
