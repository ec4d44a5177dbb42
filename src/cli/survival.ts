import { spawn } from 'node:child_process'
import { isConnected } from '../kernel/block-sysfs.ts'
import type { KernelLog } from '../kernel/log.ts'
import { protectFromOutOfMemory } from '../kernel/process.ts'
import { OWN_EXECUTABLE } from './launch.ts'
import { lineOf } from './terminal.ts'

/** What would end a process, or make one of Node's wait for a debugger, and means nothing to us. */
const HARMLESS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGPIPE',
  'SIGALRM',
  'SIGUSR1',
  'SIGUSR2',
] as const

/** From now on the process ends only when its device is taken apart. */
export function surviveEverything(log: KernelLog | undefined, index: number): void {
  const grumble = (error: unknown) => log?.write('error', `${lineOf(error)}; serving on`)
  process.on('uncaughtException', grumble)
  process.on('unhandledRejection', grumble)
  for (const signal of HARMLESS) process.on(signal, () => {})
  // A device in use stays: detach refuses it, and so it is for that command to decide. It is another
  // process because the disconnect waits for requests, which only we can answer.
  process.on('SIGTERM', () => {
    const child = spawn(OWN_EXECUTABLE, ['detach', `/dev/nbd${index}`], { stdio: 'ignore' })
    // It waits for our end.
    child.unref()
    child.on('error', grumble)
    child.on('exit', () => {
      if (isConnected(index)) log?.write('info', `/dev/nbd${index} is in use; serving on`)
    })
  })
  try {
    protectFromOutOfMemory()
  } catch {
    log?.write('error', 'this daemon may be ended when memory is short: it may not forbid that')
  }
}
