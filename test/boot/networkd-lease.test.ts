import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

/**
 * systemd-networkd with dnsmasq on the other end of a cable, in namespaces of their own. $1 is the
 * repository, $2 Node, $3 what prepares the system. Prints the lease's address and each stage of its
 * life in which the interface still has it.
 */
const NETWORK = `
set -e
repository=$1 node=$2 prepare=$3
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/network /run/systemd/netif/leases /run/systemd/netif/links /run/systemd/netif/lldp
chown -R systemd-network: /run/systemd/netif
echo 0123456789abcdef0123456789abcdef >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
# Where /sys is read-only networkd does not wait for udev.
mount -t sysfs -o ro sysfs /sys
ip link set lo up

unshare --net sleep 1000 &
server=$!
until [ "$(readlink /proc/$server/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do :; done
ip link add card0 address 52:54:00:12:34:56 type veth peer name card1 netns $server
on_server() { nsenter --net=/proc/$server/ns/net "$@"; }
on_server ip address add 192.0.2.1/24 dev card1
on_server ip link set card1 up
on_server dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=card1 \\
  --dhcp-range=192.0.2.10,192.0.2.19,255.255.255.0 --dhcp-leasefile=/dev/null 2>/dev/null &

# What the initramfs left, and the system has.
ip link set card0 up
ip address add 192.0.2.15/24 dev card0 valid_lft 3600 preferred_lft 3600
printf '[Match]\\nName=card*\\n[Network]\\nDHCP=ipv4\\n' >/run/systemd/network/20-wired.network
eval "$prepare"

/lib/systemd/systemd-networkd 2>/dev/null &
networkd=$!
index=$(cat /sys/class/net/card0/ifindex)
until lease=$(sed -n 's/^ADDRESS=//p' "/run/systemd/netif/leases/$index" 2>/dev/null) && [ "$lease" ]; do :; done
has() { ip -4 -oneline address show dev card0 | grep -qF "inet $lease/"; }
until has; do :; done
echo leased

on_server ip link set card1 down
until grep -q '^CARRIER_STATE=no-carrier' "/run/systemd/netif/links/$index"; do :; done
if has; then echo without cable; fi
on_server ip link set card1 up
until has; do :; done

kill $networkd
wait $networkd || true
if has; then echo stopped; fi
`

const KEEP = `"$node" --input-type=module --eval "
  import { keepByNetworkd } from '$repository/src/boot/keep/networkd.ts'
  const boot = { name: 'card0', mac: '52:54:00:12:34:56', addresses: [], lower: [], nameServers: [] }
  keepByNetworkd({ root: '/nowhere', run: '/run', hasSystemd: true }, { ...boot, isStatic: false })
"`

async function stages(prepare: string): Promise<string[]> {
  const unshare = ['--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
  const script = ['bash', '-c', NETWORK, 'bash', resolve('.'), process.execPath, prepare]
  const { stdout } = await promisify(execFile)('unshare', [...unshare, ...script])
  return stdout.trim().split('\n')
}

function lacking(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root may make namespaces'
  const needs = ['/lib/systemd/systemd-networkd', '/usr/sbin/dnsmasq']
  const absent = needs.find((path) => !existsSync(path))
  return absent === undefined ? undefined : `there is no ${absent}`
}

const skip = lacking() ?? false

t.test('networkd keeps the lease without a cable, and when it stops', { skip }, async (t) => {
  t.strictSame(await stages(KEEP), ['leased', 'without cable', 'stopped'])
})

t.test('left to itself it would not', { skip }, async (t) => {
  t.strictSame(await stages(':'), ['leased'])
})
