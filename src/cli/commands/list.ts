import { isConnected } from '../../kernel/block-sysfs.ts'
import type { Call, Command } from '../command.ts'
import type { DeviceFacts } from '../device-status.ts'
import { attachedDevices, readFacts } from '../run-files.ts'
import { formatSize } from '../size.ts'

export const list: Command = {
  name: 'list',
  summary: 'the devices that netcow attached',
  details: [
    'One line for each: the device, its size, whether it can be written to, its daemon, and the image.',
  ],
  operands: [],
  options: ['json'],
  run: runList,
}

/** `served` while it has a living daemon, `orphaned` when that is dead, `gone` when it is no more. */
type State = 'served' | 'orphaned' | 'gone'

async function runList({ options, terminal }: Call): Promise<number> {
  const devices = attachedDevices().map((index) => {
    const facts = readFacts(index)
    return { ...facts, state: stateOf(index, facts) }
  })
  if (options.json) await terminal.out(`${JSON.stringify(devices, undefined, 2)}\n`)
  else if (devices.length > 0) await terminal.out(table(devices))
  return 0
}

function stateOf(index: number, { pid }: DeviceFacts): State {
  if (!isConnected(index)) return 'gone'
  try {
    process.kill(pid, 0)
    return 'served'
  } catch (error) {
    // Not ours to signal, but there.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
      ? 'served'
      : 'orphaned'
  }
}

function table(devices: readonly (DeviceFacts & { readonly state: State })[]): string {
  const rows = [
    ['DEVICE', 'SIZE', 'ACCESS', 'PID', 'STATE', 'IMAGE'],
    ...devices.map(({ device, sizeBytes, access, pid, state, image }) => {
      return [device, formatSize(sizeBytes), access, `${pid}`, state, image]
    }),
  ]
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const lines = rows.map((row) =>
    row.map((cell, column) => cell.padEnd(widths[column]!)).join('  '),
  )
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}
