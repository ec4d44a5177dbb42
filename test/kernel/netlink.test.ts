import t from 'tap'
import {
  MessageHeader,
  attributeNest,
  attributeString,
  attributeU32,
  attributeU64,
  decodeAttributes,
  encodeAttributes,
  splitMessages,
  valueU32,
} from '../../src/kernel/netlink.ts'

t.test(
  'attributes stand as the kernel lays them out: length, type, payload, padding',
  async (t) => {
    const bytes = encodeAttributes([attributeString(2, 'nbd'), attributeU32(1, 7)])
    t.equal(Buffer.from(bytes).toString('hex'), '080002006e6264000800010007000000')
    t.equal(
      Buffer.from(encodeAttributes([attributeU64(2, 2 ** 40)])).toString('hex'),
      '0c0002000000000000010000',
    )
  },
)

t.test('what is nested comes back', async (t) => {
  const nested = attributeNest(7, [attributeNest(1, [attributeU32(1, 42)])])
  const [outer] = decodeAttributes(encodeAttributes([nested]))
  const [item] = decodeAttributes(outer!.payload)
  const [fd] = decodeAttributes(item!.payload)
  t.equal(valueU32(fd!), 42)
})

t.test('torn messages and attributes are not followed', async (t) => {
  t.strictSame(decodeAttributes(Uint8Array.of(200, 0, 1, 0, 1)), [])
  t.strictSame(decodeAttributes(Uint8Array.of(2, 0, 1, 0)), [])
  const header = MessageHeader.encode({ length: 99, type: 2, flags: 0, sequence: 1, port: 0 })
  t.strictSame([...splitMessages(header)], [])
})
