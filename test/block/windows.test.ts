import t from 'tap'
import { Pad } from '../../src/block/pad.ts'
import { Slice } from '../../src/block/slice.ts'
import { patterned } from '../fixtures/bytes.ts'
import { conforms } from '../fixtures/conformance.ts'
import { deviceOf } from '../fixtures/device.ts'

const content = patterned(8000)

conforms(
  t,
  'slice',
  content.subarray(700, 5000),
  async () => new Slice(deviceOf(content), 700, 4300),
)

const padded = new Uint8Array(8192)
padded.set(content)
conforms(t, 'pad', padded, async () => new Pad(deviceOf(content), 4096))
