import { existsSync, readFileSync, readdirSync } from 'node:fs'

/** The Ethernet cards of this machine, as sysfs shows them. */

const DIRECTORY = '/sys/class/net'
/** ARPHRD_ETHER in linux/if_arp.h. */
const ETHERNET = '1'

export interface Card {
  readonly name: string
  /** With colons, in lower case. */
  readonly hardware: string
}

/** The cards there are, or only the one of that name or hardware address. */
export function cards(wanted: string | undefined): Card[] {
  return readdirSync(DIRECTORY)
    .filter((name) => attribute(name, 'type') === ETHERNET)
    .map((name) => ({ name, hardware: attribute(name, 'address') }))
    .filter(({ name, hardware }) => [undefined, name, hardware].includes(wanted))
}

/** Whether udev, where it runs, is done with the card: until then it may get another name. */
export function isNamed({ name }: Card): boolean {
  if (!existsSync('/run/udev/control')) return true
  const index = attribute(name, 'ifindex')
  return index !== '' && existsSync(`/run/udev/data/n${index}`)
}

/** Whether something is at the other end of the cable; a card that is down cannot tell. */
export function hasCarrier({ name }: Card): boolean {
  return attribute(name, 'carrier') === '1'
}

function attribute(name: string, file: string): string {
  try {
    return readFileSync(`${DIRECTORY}/${name}/${file}`, 'utf8').trim()
  } catch {
    return ''
  }
}
