import t from 'tap'
import { Waste } from '../../src/block/waste.ts'

const BLOCK = 64 * 1024

t.test('what is asked for later, or never comes, was not for nothing', async (t) => {
  const waste = new Waste(BLOCK, BLOCK)
  t.ok(waste.affords(1, 0), 'a head start')
  waste.risk(7)
  t.notOk(waste.affords(1, 0))
  waste.redeem(7)
  waste.redeem(7)
  t.ok(waste.affords(1, 0), 'and only once')
  t.notOk(waste.affords(2, 0))
  t.equal(waste.speculativeBytes, BLOCK)
})

t.test('what was dropped before anybody asked for it stays wasted', async (t) => {
  const waste = new Waste(BLOCK, BLOCK)
  waste.risk(7)
  waste.dropped(7)
  waste.redeem(7)
  t.notOk(waste.affords(1, 0))
  t.ok(waste.affords(1, BLOCK), 'until more was read')
})
