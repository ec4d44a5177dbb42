import { globSync, readFileSync } from 'node:fs'
import t from 'tap'

/** A name inside an image is data: the room that reads images can open nothing by itself. */
const LIBRARIES = ['node:assert/strict', 'node:crypto', 'node:util', 'node:zlib']

for (const file of globSync('src/format/**/*.ts'))
  t.test(`${file} opens neither files nor connections`, async (t) => {
    const imports = readFileSync(file, 'utf8').matchAll(/(?:from |import\()'([^']*)'|import\(/g)
    for (const [, library = 'import()'] of imports)
      if (!library.startsWith('.')) t.ok(LIBRARIES.includes(library), library)
  })
