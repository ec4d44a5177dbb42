import t from 'tap'
import { parseDeviceFile } from '../../src/cli/device-file.ts'
import { parseKernelCommandLine } from '../../src/cli/kernel-command-line.ts'
import { argvOf, parseBootWords } from '../../src/cli/words.ts'
import { UsageError } from '../../src/errors.ts'

t.test('words end at white space outside of quotes', async (t) => {
  t.strictSame(parseKernelCommandLine('quiet a="b c" "d=e f" g=h=i j=\n'), [
    { name: 'quiet', value: undefined },
    { name: 'a', value: 'b c' },
    { name: 'd', value: 'e f' },
    { name: 'g', value: 'h=i' },
    { name: 'j', value: '' },
  ])
})

const url = 'http://10.0.2.2/image.qcow2?x=1'

t.test('root=netcow: names an image whose root netcow finds', async (t) => {
  const words = parseBootWords(`console=ttyS0 root=netcow:${url} ro`)
  t.match(words, { image: url, findsRoot: true })
})

t.test('beside another root= the image is only attached', async (t) => {
  for (const image of [`rd.netcow=${url}`, `netcow=${url}`, `netroot=netcow:${url}`]) {
    t.match(parseBootWords(`${image} root=UUID=1234`), { image: url, findsRoot: false })
  }
  t.match(parseBootWords(`rd.netcow=${url}`), { image: url, findsRoot: true })
  t.match(parseBootWords('root=dhcp'), { image: undefined, findsRoot: true })
})

t.test('the root is writable unless a word or the overlay says otherwise', async (t) => {
  const readOnly = (words: string) => parseBootWords(`rd.netcow=${url} ${words}`).readOnly
  t.strictSame(['', 'ro', 'ro rw', 'rw ro', 'rd.netcow.overlay=none'].map(readOnly), [
    false,
    true,
    false,
    true,
    true,
  ])
})

t.test('an image may be a file on a disk', async (t) => {
  for (const image of ['LABEL=pool data:/images/a.qcow2', 'UUID=12-AB:/a', '/dev/sda1:/a']) {
    t.match(parseBootWords(`"rd.netcow=${image}"`), { image, findsRoot: true })
  }
  t.strictSame(parseDeviceFile('LABEL=a:b:/c:/d'), {
    disk: { kind: 'tag', tag: 'LABEL', value: 'a:b' },
    path: '/c:/d',
  })
  for (const image of ['LABEL=x', 'LABEL=:/a', 'NAME=x:/a', '/dev/sda1', 'UUID=1:/folder/']) {
    t.throws(() => parseBootWords(`"rd.netcow=${image}"`), UsageError, image)
  }
})

t.test('options become words of attach', async (t) => {
  const { options } = parseBootWords(
    `rd.netcow=${url} rd.netcow.cache=32M netcow.overlay=none rd.netcow.debug`,
  )
  t.strictSame(argvOf(options), ['--overlay=none', '--cache=32M', '--log=debug'])
})

t.test('other words are none of our business', async (t) => {
  t.match(parseBootWords('root=LABEL=x netcowish=1 rd.netcowx=2'), { image: undefined })
})

t.test('a wrong word is an error that names the right one', async (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    [
      'rd.netcow.overlaay=memory',
      /unknown word rd.netcow.overlaay, did you mean rd.netcow.overlay/,
    ],
    ['netcow.zzz=1', /unknown word netcow.zzz$/],
    ['rd.netcow.cache=lots', /rd.netcow.cache= takes a size .* not 'lots'/],
    ['rd.netcow=ftp://x/y', /'ftp:\/\/x\/y' is not an http or https URL/],
    ['root=netcow:', /'' is not an http/],
    ['rd.netcow=http://user:secret@host/x', /a user name or a password/],
  ]
  for (const [word, message] of wrong) {
    t.throws(() => parseBootWords(word), UsageError)
    t.throws(() => parseBootWords(word), { message })
  }
})
