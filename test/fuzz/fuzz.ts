/**
 * Damages what comes from outside and looks at what becomes of it: images, or what NBD clients send.
 *
 *     npm run fuzz -- [--target qcow2|nbd] [--seconds 60] [--seed 1] [--case 17]
 */
const TARGETS = ['qcow2', 'nbd']

const at = process.argv.indexOf('--target')
const [, target = 'qcow2'] = at < 0 ? [] : process.argv.splice(at, 2)
if (TARGETS.includes(target)) await import(`./${target}.ts`)
else {
  console.error(`fuzz: --target takes ${TARGETS.join(' or ')}, not '${target}'`)
  process.exitCode = 2
}
