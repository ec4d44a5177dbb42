import t from 'tap'
import { openImage } from '../../../src/format/registry.ts'
import { conforms } from '../../fixtures/conformance.ts'
import { BytesSource } from '../bytes-source.ts'
import { content } from '../content.ts'

const bytes = content(8192)
const open = (options: object) => openImage(new BytesSource(bytes), { format: 'raw', ...options })

conforms(t, 'raw', bytes, () => open({}))
conforms(t, 'raw inside of a file', bytes.subarray(512, 5632), () =>
  open({ offset: 512, sizeLimit: 5120 }),
)

t.test('a disk that does not lie within its source is refused', async (t) => {
  await t.rejects(open({ offset: 8193 }), { name: 'ImageInvalid' })
  await t.rejects(open({ offset: 512, sizeLimit: 8192 }), { name: 'ImageInvalid' })
})
