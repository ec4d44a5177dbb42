const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
}

/** Reads a size in bytes as qemu-img does: `65536`, `64K`, `1.5G`; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([BKMGT]?)$/i.exec(text)
  const [, digits, unit] = match ?? []
  if (digits === undefined || unit === undefined) return undefined
  const bytes = Number(digits) * UNITS[unit.toUpperCase()]!
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
