import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, globSync, mkdirSync, mkdtempSync } from 'node:fs'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import sea from '@yao-pkg/pkg/lib-es5/sea.js'
import { build as bundle } from 'esbuild'
import { ARCHITECTURES, type Architecture, ownArchitecture, strippedNode } from './node-binary.ts'
import { trim } from './trim.ts'
import { warm } from './warm.ts'
import manifest from '../package.json' with { type: 'json' }

/**
 * Makes dist/netcow and its manual pages: one bundle, and what V8 compiles of it when it is run once, baked
 * onto the stripped Node of the npm package. Nothing is fetched but, for another architecture, that
 * one's Node; other compilers are not needed.
 */

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')

/**
 * The old space, with the buffers that belong to it, is first collected at this size; V8 would begin
 * at a few megabytes and walk it six times in the first second of a boot, a tenth of its work.
 * Afterwards V8 decides by what it found. NODE_OPTIONS may not say it.
 */
const FIRST_COLLECTION_MEBIBYTES = 64
/**
 * Where objects begin, a third of it at most. V8 would let it grow to four times as much, which is 30 MB of a
 * server under load and no faster: what a request leaves behind is garbage at once, and 4 MiB stay in
 * the cache of the processor.
 */
const YOUNG_MEBIBYTES = 4
/** What Node is told by the executable itself; NODE_OPTIONS of the environment comes beside it. */
export const NODE_OPTIONS = [
  `--initial-old-space-size=${FIRST_COLLECTION_MEBIBYTES}`,
  `--max-semi-space-size=${YOUNG_MEBIBYTES}`,
]

const BUILDERS = [
  'build.ts',
  'elf.ts',
  'icu-package.ts',
  'node-binary.ts',
  'start.cjs',
  'trim.ts',
  'warm-start.cjs',
  'warm.ts',
]

/** What the executable is made of; when none of it has changed, it need not be made again. */
function inputs(architecture: Architecture): string {
  const hash = createHash('sha256')
  const files = [
    'package.json',
    'package-lock.json',
    ...BUILDERS.map((name) => `build/${name}`),
    ...globSync('src/**/*.ts', { cwd: root }),
  ]
  for (const file of files.toSorted()) {
    hash.update(`${file}\0`)
    hash.update(readFileSync(join(root, file)))
  }
  return hash.update(architecture).digest('hex')
}

/**
 * Builds dist/netcow, or dist/netcow-ARCHITECTURE for a machine that is not like this one, unless
 * it is there already, and returns its path.
 */
export async function build(architecture = ownArchitecture()): Promise<string> {
  const name = architecture === ownArchitecture() ? 'netcow' : `netcow-${architecture}`
  const executable = join(dist, name)
  const inputsFile = `${executable}.inputs`
  const wanted = inputs(architecture)
  const made = existsSync(inputsFile) ? readFileSync(inputsFile, 'utf8') : ''
  if (made === wanted && existsSync(executable)) return executable
  mkdirSync(dist, { recursive: true })
  const work = mkdtempSync(join(dist, 'build-'))
  try {
    const node = join(work, 'node')
    strippedNode(architecture, node)
    const script = await bundled('src/main.ts', work)
    // start.cjs calls it.
    writeFileSync(script, `(function (require) {${readFileSync(script, 'latin1')}})`)
    const code = join(work, 'netcow.code')
    // What is compiled in advance is of use to the processor that compiled it.
    if (architecture === ownArchitecture()) await warm(node, NODE_OPTIONS, script, code)
    else writeFileSync(code, '')
    const baked = await bake(architecture, work, node, {
      'netcow.cjs': script,
      'netcow.code': code,
    })
    trim(baked)
    chmodSync(baked, 0o755)
    renameSync(baked, executable)
    writeFileSync(inputsFile, wanted)
  } finally {
    rmSync(work, { recursive: true })
  }
  return executable
}

/** Makes one file, netcow.cjs in `folder`, of a program of this repository and all that it imports. */
export async function bundled(program: string, folder: string): Promise<string> {
  const outfile = join(folder, 'netcow.cjs')
  await bundle({
    entryPoints: [join(root, program)],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    // Of the modules of Node, which need no other loader then.
    supported: { 'dynamic-import': false },
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
  })
  return outfile
}

/** pkg writes the executable into the directory that it is called in, and leaves that directory. */
async function bake(
  architecture: Architecture,
  work: string,
  nodePath: string,
  assets: Readonly<Record<string, string>>,
): Promise<string> {
  const output = join(work, 'netcow')
  // pkg passes on what Node understands; its types know less.
  const seaConfig = {
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: false,
    execArgv: NODE_OPTIONS,
    assets,
  }
  const before = process.cwd()
  // Standard output belongs to whoever called us; boots --json, for one.
  const { log } = console
  console.log = () => {}
  try {
    await sea.default(join(root, 'build/start.cjs'), {
      nodePath,
      // The Node that runs this is of the same version, and generates what is baked in.
      useLocalNode: true,
      seaConfig,
      targets: [
        { nodeRange: 'node26', platform: 'linux', arch: architecture, output, forceBuild: false },
      ],
    })
  } finally {
    console.log = log
    process.chdir(before)
  }
  return output
}

/** Prints what the executable is like; `npm run size` says what an initramfs pays for it. */
function report(path: string, runs: boolean): void {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const facts = [mebibytes(statSync(path).size)]
  if (runs) facts.push(`starts in ${startMs(path).toFixed(0)} ms`)
  console.log(`${path}: ${facts.join(', ')}`)
}

/** The median of a few. */
function startMs(path: string): number {
  const starts = Array.from({ length: 5 }, () => {
    const begin = performance.now()
    execFileSync(path, ['--version'])
    return performance.now() - begin
  })
  return starts.toSorted((left, right) => left - right)[2]!
}

/** What --arch says; this machine's without it. */
export function wantedArchitecture(): Architecture {
  const { values } = parseArgs({ options: { arch: { type: 'string' } } })
  if (values.arch === undefined) return ownArchitecture()
  const known = ARCHITECTURES.find((name) => name === values.arch)
  if (known !== undefined) return known
  console.error(`build: --arch takes ${ARCHITECTURES.join(' or ')}, not '${values.arch}'`)
  process.exit(2)
}

if (import.meta.main) {
  const architecture = wantedArchitecture()
  report(await build(architecture), architecture === ownArchitecture())
  // It knows the whole tool, which whoever only wants the executable need not load.
  const { writeManual } = await import('./manual.ts')
  await writeManual(join(dist, 'man'), manifest.version)
}
