import { readFileSync, writeFileSync } from 'node:fs'
import { withoutRange } from './elf.ts'
import { findPackage, reduced } from './icu-package.ts'

/**
 * Node carries ICU's data for all languages: 33 MB, which netcow never reads and which would lie in
 * the initramfs and then, as long as the daemon runs, in memory. English stays, as in a Node that is
 * built with `--with-intl=small-icu`.
 */
export function trim(path: string): void {
  const file = readFileSync(path)
  const found = findPackage(file)
  const small = reduced(file, found, kept)
  small.copy(file, found.start)
  writeFileSync(path, withoutRange(file, found.start + small.length, found.end))
}

const LOCALE = /^[a-z]{2,3}(_\w+)?\.res$/
/** Legacy character sets, confusable letters, transliteration, line breaks, spelt-out numbers. */
const UNUSED = /\.cnv$|\.cfu$|^translit\/|^brkitr\/|^rbnf\//

/** @param name such as `icudt78l/zone/en.res` */
function kept(name: string): boolean {
  const path = name.slice(name.indexOf('/') + 1)
  const file = path.slice(path.lastIndexOf('/') + 1)
  if (LOCALE.test(file)) return file === 'en.res' || file === 'en_US.res'
  return !UNUSED.test(path)
}
