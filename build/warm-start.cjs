'use strict'
// node warm-start.cjs SCRIPT CODE WORDS...: runs the tool, and keeps in CODE what is compiled of it by the end.
const { readFileSync, writeFileSync } = require('node:fs')
const { Script } = require('node:vm')

const [, , path, code] = process.argv
const script = new Script(readFileSync(path, 'latin1'), { filename: 'netcow.cjs' })
process.on('exit', () => writeFileSync(code, script.createCachedData()))
process.argv.splice(2, 2)
script.runInThisContext()(require)
