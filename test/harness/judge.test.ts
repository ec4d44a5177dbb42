import t from 'tap'
import { type Evidence, breakdown, fault } from '../../qemu-harness/judge.ts'
import { Verdict } from '../../qemu-harness/verdict.ts'

const GOOD = ['{"check":"root","ok":true,"detail":"/dev/nbd0"}', '{"done":true}']
const GAVE_UP = ['{"emergency":true,"rootMounted":false}']
const REFUSAL = '[    9.1] dracut-cmdline[2]: netcow: no such file (url http://x); check it'

function evidence(reports: readonly string[], more: Partial<Evidence> = {}): Evidence {
  const verdict = new Verdict()
  for (const line of reports) verdict.add(line)
  return {
    end: 'powered off',
    verdict,
    console: [],
    tolerates: [],
    complaints: [],
    says: [],
    ...more,
  }
}

t.test('a boot is good when every check is, and the guest has powered off', async (t) => {
  const boots = (given: Evidence) => fault({ kind: 'boots' }, given)
  t.equal(boots(evidence(GOOD)), undefined)
  t.match(boots(evidence(GOOD, { end: 'killed' })), /hung/)
  t.match(boots(evidence(GOOD.slice(0, 1))), /after its check of root/)
  t.match(boots(evidence([], { end: 'killed' })), /before it reached multi-user/)
  t.match(boots(evidence(GAVE_UP, { console: [REFUSAL] })), /gave up.*no such file/)
  const bad = ['{"check":"units","ok":false,"detail":"a.service"}', ...GOOD]
  t.equal(boots(evidence(bad)), 'units: a.service')
  t.equal(boots(evidence(bad, { tolerates: ['units'] })), undefined)
})

t.test('a boot that the kernel complained of is not good', async (t) => {
  const console = ['[ 80.1] block nbd0: Receive control failed (result -32)']
  t.match(fault({ kind: 'boots' }, evidence(GOOD, { console })), /console says: .*Receive control/)
  const expected = { console, complaints: [/Receive control/] }
  t.equal(fault({ kind: 'boots' }, evidence(GOOD, expected)), undefined)
  const harmless = ['[ 80.1] block nbd0: shutting down sockets']
  t.equal(fault({ kind: 'boots' }, evidence(GOOD, { console: harmless })), undefined)
})

t.test('a machine that netcow ends must end in that way', async (t) => {
  const ends = (given: Evidence) =>
    fault({ kind: 'ends', end: 'restarted', line: /netcow: reboot/ }, given)
  const console = ['[ 9.1] netcow: reboot in 10 s']
  t.equal(ends(evidence([], { console, end: 'restarted' })), undefined)
  t.match(ends(evidence([], { console, end: 'killed' })), /should have restarted, but it hung/)
  t.match(ends(evidence([], { end: 'restarted' })), /does not say/)
  const gaveUp = evidence(GAVE_UP, { console, end: 'restarted' })
  t.match(ends(gaveUp), /gave up/)
  const expected = { kind: 'ends', end: 'restarted', line: /netcow: reboot/ } as const
  t.equal(fault({ ...expected, by: 'initramfs' }, gaveUp), undefined, 'who is told to')
})

t.test('a boot must say what its scenario asks for', async (t) => {
  const says = [/netcow: detached/]
  t.match(fault({ kind: 'boots' }, evidence(GOOD, { says })), /does not say/)
  const console = ['[ 90.2] netcow: detached']
  t.equal(fault({ kind: 'boots' }, evidence(GOOD, { says, console })), undefined)
})

t.test('restarts are counted', async (t) => {
  const twice = (reports: readonly string[]) =>
    fault({ kind: 'reboots', times: 2 }, evidence(reports, { end: 'restarted' }))
  t.equal(twice([...GOOD, ...GOOD]), undefined)
  t.match(twice(GOOD), /restarted after its check of root in boot 2/)
})

t.test('a refusal is good when it is said once, and nothing is mounted', async (t) => {
  const refused = (given: Evidence) => fault({ kind: 'refuses', line: /netcow: no such/ }, given)
  const console = [REFUSAL]
  t.equal(refused(evidence(GAVE_UP, { console, end: 'halted' })), undefined)
  t.match(refused(evidence(GAVE_UP)), /powered off; 0 console lines match.*said nothing$/)
  t.match(
    refused(evidence(GAVE_UP, { console: [REFUSAL, REFUSAL] })),
    /2 console lines match.*netcow said: .*no such file/,
  )
  t.match(refused(evidence(GOOD, { console })), /booted/)
  t.match(refused(evidence([], { console, end: 'killed' })), /hung/)
  const mounted = ['{"emergency":true,"rootMounted":true}']
  t.match(refused(evidence(mounted, { console })), /mounted/)
})

t.test('a machine that died before netcow ran is told apart', async (t) => {
  const panic = '[    0.01] Kernel panic - not syncing: IO-APIC + timer does not work!'
  const device = '[   20.1] block nbd0: Send control failed'
  const asked = '[   21.2] reboot: Restarting system'
  t.equal(breakdown({ end: 'restarted', console: [panic] }), panic)
  t.equal(breakdown({ end: 'killed', console: ['[ 1.0] a line', panic] }), panic)
  for (const ours of [REFUSAL, device]) {
    t.equal(breakdown({ end: 'restarted', console: [ours, panic] }), undefined)
    t.equal(breakdown({ end: 'restarted', console: [ours] }), undefined)
  }
  t.match(breakdown({ end: 'restarted', console: ['[ 5.1] a line'] }), /reset/)
  t.equal(breakdown({ end: 'restarted', console: [asked] }), undefined)
  t.equal(breakdown({ end: 'killed', console: [] }), undefined)
  t.equal(breakdown({ end: 'crashed', console: [REFUSAL] }), 'QEMU crashed')
})

t.test('what is no report is not taken for one', async (t) => {
  const verdict = new Verdict()
  for (const line of ['', 'nonsense', '{"check":"x"}', '[1]']) t.notOk(verdict.add(line))
  t.ok(verdict.add('{"measure":"seconds","value":1.5}'))
  t.equal(verdict.measures.get('seconds'), 1.5)
})
