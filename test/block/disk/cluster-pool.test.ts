import t from 'tap'
import { ClusterPool } from '../../../src/block/disk/cluster-pool.ts'
import { CLUSTER_BYTES } from '../../../src/block/disk/layout.ts'
import { Quota } from '../../../src/block/quota.ts'

t.test('places rest before they are given out again, be they a million', async (t) => {
  const many = 2 ** 20
  const quota = new Quota(many * CLUSTER_BYTES)
  const pool = new ClusterPool(quota, new Uint8Array())
  for (let place = 0; place < many; place++) pool.take()
  t.throws(() => pool.take(), { name: 'StoreFull' })
  for (let place = 0; place < many; place++) pool.give(place)
  t.equal(pool.restingCount, many)
  t.equal(quota.usedBytes, many * CLUSTER_BYTES)
  pool.rested(pool.resting())
  t.equal(pool.restingCount, 0)
  t.equal(quota.usedBytes, 0)
  t.ok(pool.take() < many)
})
