import t from 'tap'
import { contentRange, retryAfter } from '../../src/http/response.ts'

t.test('Content-Range must say first, last and length, and they must make sense', async (t) => {
  t.strictSame(contentRange({ 'content-range': 'bytes 5-9/100' }), { first: 5, last: 9, size: 100 })
  for (const value of [
    'bytes */100',
    'bytes 5-9/*',
    'bytes 9-5/100',
    'bytes 0-100/100',
    'items 0-1/2',
    'bytes 0-1/99999999999999999',
    '',
  ]) {
    t.equal(contentRange({ 'content-range': value }), undefined, value)
  }
})

t.test('Retry-After is seconds or a date, and never more than five minutes', async (t) => {
  const now = Date.parse('2026-01-01T00:00:00Z')
  t.equal(retryAfter('12', now), 12_000)
  t.equal(retryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000)
  t.equal(retryAfter('Wed, 31 Dec 2025 00:00:00 GMT', now), 0)
  t.equal(retryAfter('86400', now), 300_000)
  t.equal(retryAfter('soon', now), 0)
  t.equal(retryAfter(undefined, now), 0)
})
