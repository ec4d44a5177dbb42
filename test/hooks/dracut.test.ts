import { execFileSync } from 'node:child_process'
import t from 'tap'

/** Stand-ins for dracut's own functions, and one of ours, $2, with the kernel command line $1. */
const CALL = `
getcmdline() { printf %s "$line"; }
getarg() {
  code=1
  for word in $(getcmdline); do
    case $word in "$1"*) value=\${word#"$1"} && code=0 ;; esac
  done
  [ "$code" = 1 ] || echo "$value"
  return "$code"
}
line=$1
. dracut/90netcow/netcow-lib.sh
if "$2"; then echo yes; else echo no; fi
`

function says(line: string, name: string): string {
  return execFileSync('sh', ['-c', CALL, 'sh', line, name], { encoding: 'utf8' }).trim()
}

t.test('of several words that name an image the last one counts', async (t) => {
  const disk = 'rd.netcow=LABEL=a:/b'
  const server = 'root=netcow:http://a/b?c=LABEL=d&e'
  t.equal(says(disk, 'netcow_local'), 'yes')
  t.equal(says(`${server} quiet`, 'netcow_local'), 'no')
  t.equal(says(`${server} ${disk} rd.netcow.overlay=LABEL=x`, 'netcow_local'), 'yes')
  t.equal(says(`${disk} ${server} rd.netcow.overlay=LABEL=x`, 'netcow_local'), 'no')
  t.equal(says('quiet', 'netcow_local'), 'no')
})

t.test('dracut gives up as onfail says, unless the user says how', async (t) => {
  const words = (line: string) => says(`root=netcow:http://a/b ${line}`, 'netcow_emergency_words')
  t.equal(words('rd.netcow.onfail=reboot'), 'rd.emergency=reboot rd.shell=0\nyes')
  t.equal(
    words('netcow.onfail=shell netcow.onfail=poweroff'),
    'rd.emergency=poweroff rd.shell=0\nyes',
  )
  for (const own of ['rd.emergency=halt', 'rd.shell', 'rd.shell=0', 'rd.break=mount']) {
    t.not(words(`rd.netcow.onfail=reboot ${own}`).includes('rd.emergency='), true, own)
  }
  for (const line of [
    '',
    'rd.netcow.onfail=shell',
    'rd.netcow.onfail=reboot netcow.onfail=shell',
  ]) {
    t.notMatch(words(line), /emergency/)
  }
})

t.test('of ro and rw the last one counts, and without an overlay it is ro', async (t) => {
  const mode = (line: string) => says(line, 'netcow_mode').split('\n')[0]
  t.equal(mode('root=netcow:http://a/b'), 'rw')
  t.equal(mode('root=netcow:http://a/b ro quiet'), 'ro')
  t.equal(mode('ro root=netcow:http://a/b rw'), 'rw')
  t.equal(mode('rw ro'), 'ro')
  t.equal(mode('rw rd.netcow.overlay=none'), 'ro')
  t.equal(mode('netcow.overlay=none'), 'ro')
})
