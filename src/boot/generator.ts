import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { parseKernelCommandLine } from '../cli/kernel-command-line.ts'
import { lineOf } from '../cli/terminal.ts'
import { parseBootWords } from '../cli/words.ts'
import { KernelLog } from '../kernel/log.ts'
import { onFailOf } from './failure.ts'
import { ROOT_LINK } from './root-link.ts'

/**
 * netcow as a generator of systemd (systemd.generator(7)), in an initramfs whose init is systemd and
 * which has nothing but units to say what happens. Units in the early directory win over those of
 * systemd's own generators, which would take root=netcow:URL for the name of a device.
 */

/** netcow waits for its server itself, for as long as it takes, and devices come when it is there. */
const PATIENT = `[Unit]
JobTimeoutSec=0
JobRunningTimeoutSec=infinity
`

/** Writes units below `early`; returns an exit code. */
export function generate(early: string): number {
  try {
    const units = unitsFor(readFileSync('/proc/cmdline', 'utf8'))
    if (units === undefined) return 0
    for (const target of ['initrd-root-device.target', 'sysroot.mount']) {
      requires(early, target, '/usr/lib/systemd/system/netcow.service')
    }
    mkdirSync(`${early}/device.d`, { recursive: true })
    writeFileSync(`${early}/device.d/netcow.conf`, PATIENT)
    if (units.failure !== undefined) {
      mkdirSync(`${early}/sysroot.mount.d`, { recursive: true })
      writeFileSync(`${early}/sysroot.mount.d/netcow.conf`, units.failure)
    }
    if (units.sysroot !== undefined) {
      writeFileSync(`${early}/sysroot.mount`, units.sysroot)
      requires(early, 'initrd-root-fs.target', '../sysroot.mount')
    }
    return 0
  } catch (error) {
    KernelLog.open()?.write('error', lineOf(error))
    return 1
  }
}

function requires(early: string, unit: string, required: string): void {
  mkdirSync(`${early}/${unit}.requires`, { recursive: true })
  const name = required.slice(required.lastIndexOf('/') + 1)
  symlinkSync(required, `${early}/${unit}.requires/${name}`)
}

interface Units {
  /** The mount of a root that netcow finds. */
  readonly sysroot?: string
  /** What is added to the mount of any root. */
  readonly failure?: string
}

/**
 * The units that the kernel command line asks for: none if it does not speak of netcow. Words that
 * make no sense are left for netcow.service to complain about.
 */
export function unitsFor(commandLine: string): Units | undefined {
  const words = parseKernelCommandLine(commandLine)
  const spoken = words.some(
    ({ name, value }) =>
      name === 'rd.netcow' ||
      name === 'netcow' ||
      (/^(net)?root$/.test(name) && value?.startsWith('netcow:') === true),
  )
  if (!spoken) return undefined
  const failure = failureOf(commandLine)
  try {
    const { findsRoot, readOnly } = parseBootWords(commandLine)
    if (!findsRoot) return failure
    const last = (wanted: string) => words.findLast(({ name }) => name === wanted)?.value
    const flags = last('rootflags')
    const options = [readOnly ? 'ro' : 'rw', 'x-initrd.mount', ...(flags ? [flags] : [])]
    return { sysroot: mountUnit(last('rootfstype') || 'auto', options.join(',')), ...failure }
  } catch {
    return failure
  }
}

/**
 * What a root that cannot be mounted leads to, where rd.netcow.onfail asks for it. At once: nothing is
 * mounted, and the initramfs need not have the units of a shutdown.
 */
function failureOf(commandLine: string): Pick<Units, 'failure'> {
  const onFail = onFailOf(commandLine)
  return onFail === 'shell' ? {} : { failure: `[Unit]\nFailureAction=${onFail}-immediate\n` }
}

function mountUnit(type: string, options: string): string {
  return `[Unit]
Description=Root file system on netcow
Before=initrd-root-fs.target
After=netcow.service

[Mount]
What=${ROOT_LINK}
Where=/sysroot
Type=${escaped(type)}
Options=${escaped(options)}
`
}

/** Specifiers begin with a percent sign, and a value ends with its line (systemd.unit(5)). */
function escaped(value: string): string {
  return value.replaceAll('%', '%%').replaceAll(/\s/g, '')
}
