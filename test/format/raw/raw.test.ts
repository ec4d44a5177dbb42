import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { conforms } from '../../fixtures/conformance.ts'
import { BytesSource } from '../bytes-source.ts'
import { content, readsLike } from '../content.ts'

const bytes = content(8192)
const open = (bytes: Uint8Array) => openImage(new BytesSource(bytes), { format: 'raw' })

conforms(t, 'raw', bytes, () => open(bytes))

t.test('a raw image is as long as its file', async (t) => {
  await using image = await open(bytes.subarray(0, 1000))
  await readsLike(image, bytes.subarray(0, 1000))
  t.equal(image.size, 1000)
})
