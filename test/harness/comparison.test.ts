import t from 'tap'
import { comparison } from '../../qemu-harness/report.ts'
import { type BootResult, measured } from '../../qemu-harness/result.ts'
import { Verdict } from '../../qemu-harness/verdict.ts'

const traffic = { requests: 0, bytes: 0 }

function resultOf(reports: readonly string[], emulated: boolean): BootResult {
  const verdict = new Verdict()
  for (const line of reports) verdict.add(line)
  const observation = {
    verdict,
    toMultiUser: undefined,
    bootedAtMs: undefined,
    lastBootedAtMs: undefined,
    lastUnitAtMs: undefined,
  }
  const { seconds, ...rest } = measured(observation)
  return {
    name: 'versus',
    ok: true,
    seconds: { ...seconds, total: 1 },
    traffic,
    log: '',
    emulated,
    ...rest,
  }
}

t.test('what a boot compares is printed, with how the guest ran', async (t) => {
  const reports = [
    '{"measure":"attachedSeconds","value":3}',
    '{"measure":"ratio plain 4k-1","value":1.234}',
    '{"measure":"ratio zlib 4k-1","value":0.5}',
  ]
  const emulated = comparison(resultOf(reports, true))
  t.match(emulated[1], /versus, emulated/)
  t.same(emulated.slice(2), ['  plain 4k-1: 1.23 x', '  zlib 4k-1: 0.50 x'])
  t.notMatch(comparison(resultOf(reports, false))[1], /emulated/)
  t.same(comparison(resultOf(reports.slice(0, 1), true)), [], 'most compare nothing')
})
