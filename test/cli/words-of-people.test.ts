import t from 'tap'
import { nearest } from '../../src/cli/nearest.ts'
import { formatSize, parseSize } from '../../src/cli/size.ts'

t.test('sizes are read as qemu-img reads them', async (t) => {
  t.equal(parseSize('65536'), 65536)
  t.equal(parseSize('64k'), 65536)
  t.equal(parseSize('1.5G'), 1.5 * 2 ** 30)
  t.equal(parseSize('0.1G'), 107_374_182)
  t.equal(parseSize('0x1F000'), 126_976)
  for (const text of ['', 'G', '-1', '1X', '1 G', '99999999T', '1.5', '0x', '0x1G', '0.1B'])
    t.equal(parseSize(text), undefined)
})

t.test('sizes are shown with three digits', async (t) => {
  t.equal(formatSize(512), '512 B')
  t.equal(formatSize(1.5 * 2 ** 30), '1.5 GiB')
  t.equal(formatSize(1023), '0.999 KiB')
})

t.test('the nearest word is the one that was meant, or none', async (t) => {
  const words = ['overlay', 'offset', 'cache', 'ca']
  t.equal(nearest('overley', words), 'overlay')
  t.equal(nearest('ofsfet', words), 'offset')
  t.equal(nearest('cahce', words), 'cache')
  t.equal(nearest('timeout', words), undefined)
})
