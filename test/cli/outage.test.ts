import t from 'tap'
import { overdue } from '../../src/cli/outage.ts'
import type { SourceState } from '../../src/http/state.ts'

function state(waitedMs?: number): SourceState {
  const waiting = {
    reason: 'the server does not answer',
    waitedMs: waitedMs ?? 0,
    tries: 1,
    reads: 1,
  }
  return {
    url: 'http://server/image',
    sizeBytes: 1,
    requests: 1,
    receivedBytes: 1,
    servers: [],
    ...(waitedMs !== undefined && { waiting }),
  }
}

t.test('an outage is too long only once it has lasted the whole limit', async (t) => {
  t.equal(overdue([], 1000), undefined)
  t.equal(overdue([state(), state(999)], 1000), undefined)
  t.match(overdue([state(), state(1000)], 1000), /away for 1 s: the server does not answer/)
})
