import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync } from 'node:fs'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import sea from '@yao-pkg/pkg/lib-es5/sea.js'
import { build as bundle } from 'esbuild'

/**
 * Makes dist/netcow: one bundle, baked onto the stripped Node of the npm package. Nothing is
 * compiled and nothing is fetched.
 */

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')
const executable = join(dist, 'netcow')
const inputsFile = join(dist, 'netcow.inputs')

/** What the executable is made of; when none of it has changed, it need not be made again. */
function inputs(): string {
  const hash = createHash('sha256')
  const files = [
    'package.json',
    'package-lock.json',
    'build/build.ts',
    ...globSync('src/**/*.ts', { cwd: root }),
  ]
  for (const file of files.toSorted()) {
    hash.update(`${file}\0`)
    hash.update(readFileSync(join(root, file)))
  }
  return hash.update(process.arch).digest('hex')
}

/** Builds dist/netcow unless it is there already, and returns its path. */
export async function build(): Promise<string> {
  const wanted = inputs()
  const made = existsSync(inputsFile) ? readFileSync(inputsFile, 'utf8') : ''
  if (made === wanted && existsSync(executable)) return executable
  mkdirSync(dist, { recursive: true })
  const work = mkdtempSync(join(dist, 'build-'))
  try {
    const node = strippedNode(work)
    const script = await bundled(work)
    const baked = await bake(work, node, script)
    chmodSync(baked, 0o755)
    renameSync(baked, executable)
    writeFileSync(inputsFile, wanted)
  } finally {
    rmSync(work, { recursive: true })
  }
  return executable
}

async function bundled(work: string): Promise<string> {
  const outfile = join(work, 'netcow.cjs')
  await bundle({
    entryPoints: [join(root, 'src/main.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node26',
    format: 'cjs',
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'none',
    logLevel: 'warning',
  })
  return outfile
}

/** The symbols are a fifth of the executable and of no use to a user. */
function strippedNode(work: string): string {
  const source = join(root, `node_modules/node-linux-${process.arch}/bin/node`)
  const stripped = join(work, 'node')
  copyFileSync(source, stripped)
  execFileSync('strip', [stripped])
  return stripped
}

/** pkg writes the executable into the directory that it is called in, and leaves that directory. */
async function bake(work: string, nodePath: string, script: string): Promise<string> {
  const output = join(work, 'netcow')
  const before = process.cwd()
  // Standard output belongs to whoever called us; boots --json, for one.
  const { log } = console
  console.log = () => {}
  try {
    await sea.default(script, {
      nodePath,
      seaConfig: { disableExperimentalSEAWarning: true, useSnapshot: false, useCodeCache: true },
      targets: [
        { nodeRange: 'node26', platform: 'linux', arch: process.arch, output, forceBuild: false },
      ],
    })
  } finally {
    console.log = log
    process.chdir(before)
  }
  return output
}

/** Prints what a user of the executable pays for it. */
function report(path: string): void {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
  const packed = execFileSync('zstd', ['-19', '-T0', '-c', path], {
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const starts = Array.from({ length: 5 }, () => {
    const begin = performance.now()
    execFileSync(path, ['--version'])
    return performance.now() - begin
  }).toSorted((left, right) => left - right)
  console.log(
    `${path}: ${mebibytes(statSync(path).size)}, ${mebibytes(packed.length)} as zstd -19, ` +
      `starts in ${starts[2]!.toFixed(0)} ms`,
  )
}

if (import.meta.main) report(await build())
