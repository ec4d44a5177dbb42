import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { build } from '../../build/build.ts'
import { heapOptions } from '../../src/cli/heap-limit.ts'

const LOOK = `
const vm = require('node:vm')
vm.Script = class extends vm.Script {
  constructor(...parts) {
    super(...parts)
    console.log('refused:', this.cachedDataRejected)
  }
}
`

t.test('V8 takes what was compiled in advance, with the options of a daemon as well', async (t) => {
  const executable = await build()
  const look = join(t.testdir({ 'look.cjs': LOOK }), 'look.cjs')
  for (const options of ['', heapOptions({ cache: 2 ** 26, overlay: undefined })]) {
    const env = { ...process.env, NODE_OPTIONS: `--require=${look} ${options}` }
    const said = execFileSync(executable, ['--version'], { encoding: 'utf8', env })
    t.match(said, /^refused: false$/m, options)
  }
})
