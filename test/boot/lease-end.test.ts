import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * The two ends of a cable, each with addresses that the kernel takes away in a moment, in namespaces of their
 * own. $1 is the repository, $2 Node. Prints what netcow says of the first end, and what is left of both
 * when the addresses of the second
 * are gone.
 */
const NETWORK = `
set -e
repository=$1 node=$2
mount -t tmpfs tmpfs /run
mount -t sysfs -o ro sysfs /sys
ip link set lo up
ip link add card0 type veth peer name card1
for card in card0 card1; do ip link set $card up; done
add() { ip address add "$@" valid_lft 8 preferred_lft 7; }
add 192.0.2.15/24 dev card0
add fd00::15/64 dev card0 nodad
ip address add 192.0.2.16/24 dev card0
add 198.51.100.15/24 dev card1
add fd01::15/64 dev card1 nodad
"$node" --disable-warning=ExperimentalWarning --input-type=module --eval "
  import { mkdirSync } from 'node:fs'
  import { keepNetwork } from '$repository/src/boot/keep/keep-network.ts'
  mkdirSync('/run/root')
  const system = { root: '/run/root', run: '/run', hasSystemd: false }
  const boot = await keepNetwork(system, ['nobody.invalid'], [], (line) => console.log(line.replace(/[0-9]+ s/, 'N s')))
  console.log(boot.name)
"
left() { ip -oneline address show dev $1 scope global; }
until [ -z "$(left card1)" ]; do read -r -t 0.1 _ <> <(:) || :; done
left card0 | sed -E 's/.*(inet6? [^ ]*) .* valid_lft ([^ ]*) preferred_lft ([^ ]*).*/\\1 \\2 \\3/'
`

const skip = process.getuid?.() === 0 ? false : 'only root may make namespaces'

t.test('addresses whose lease nobody renews outlive it', { skip }, async (t) => {
  const unshare = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
  const script = ['bash', '-c', NETWORK, 'bash', resolve('.'), process.execPath]
  const { stdout } = await promisify(execFile)('unshare', [...unshare, ...script])
  const said = 'nothing renews the lease of card0 (N s): its address is kept for ever'
  t.strictSame(stdout.trim().split('\n'), [
    said,
    said,
    'card0',
    'inet 192.0.2.15/24 forever forever',
    'inet 192.0.2.16/24 forever forever',
    'inet6 fd00::15/64 forever forever',
  ])
})
