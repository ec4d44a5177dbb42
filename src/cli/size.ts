const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
}

/** Reads a size in bytes as qemu-img does: `65536`, `0x10000`, `64K`, `1.5G`; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, hex, digits, fraction, unit] =
    /^(?:(0x[\da-f]+)|(\d+)(\.\d+)?([BKMGT]?))$/i.exec(text) ?? []
  if (hex !== undefined) return whole(Number(hex))
  const scale = UNITS[(unit ?? '').toUpperCase()]
  // A part of a byte is a mistake; a tenth of a gigabyte is not, though it is no whole number of them.
  if (digits === undefined || scale === undefined || (fraction && scale === 1)) return undefined
  return whole(Math.floor(Number(`${digits}${fraction ?? ''}`) * scale))
}

function whole(bytes: number): number | undefined {
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** A size for people, with three significant digits: `1.5 GiB`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let unit = 0
  let value = bytes
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1024
  return `${Number(value.toPrecision(3))} ${units[unit]}`
}
