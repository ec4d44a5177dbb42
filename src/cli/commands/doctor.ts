import { checkImage } from '../doctor/image.ts'
import type { Finding } from '../doctor/finding.ts'
import { THIS_MACHINE, checkMachine } from '../doctor/machine.ts'
import { type Call, type Command, IMAGE_OPTIONS } from '../command.ts'
import { plain } from '../plain.ts'
import { imagePlan } from '../plan.ts'

export const doctor: Command = {
  name: 'doctor',
  summary: 'say what is missing here, or wrong with an image and its server',
  details: [
    'Without IMAGE it looks at this machine: rights, the nbd driver, memory. With IMAGE also at the server, its ranges and versions, and at the image. Each finding is one line; the exit code is 0 if nothing stops a boot.',
  ],
  operands: ['[IMAGE]'],
  options: ['json', 'overlay', ...IMAGE_OPTIONS],
  run: runDoctor,
}

async function runDoctor({ operands: [image], options, terminal }: Call): Promise<number> {
  const { overlay } = options
  const machine = checkMachine(THIS_MACHINE, {
    cacheBytes: options.cache,
    overlayBytes: overlay?.kind === 'memory' ? (overlay.limitBytes ?? 0) : 0,
  })
  const report = (line: string) => terminal.say('warn', line)
  const ofImage =
    image === undefined ? [] : await checkImage(await imagePlan(image, options), report)
  const findings = [...machine, ...ofImage]
  await terminal.out(options.json ? `${JSON.stringify(findings, undefined, 2)}\n` : lines(findings))
  // The image is what was asked about; the machine may be another than the one that will use it.
  const worst = [...ofImage, ...machine].find(({ verdict }) => verdict === 'bad')
  return worst?.exitCode ?? 0
}

const MARKS = { good: 'ok  ', warning: 'WARN', bad: 'BAD ' } as const

function lines(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ subject }) => subject.length))
  return findings
    .map(({ subject, verdict, found, advice }) => {
      const line = plain(`${MARKS[verdict]}  ${subject.padEnd(width)}  ${found}`)
      return advice === undefined ? `${line}\n` : `${line}; ${advice}\n`
    })
    .join('')
}
