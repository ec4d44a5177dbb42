'use strict'
// What the executable begins with: it runs the tool with what is compiled of it in advance.
const { getRawAsset } = require('node:sea')
const { Script } = require('node:vm')

const asset = (name) => Buffer.from(getRawAsset(name))
const compiled = asset('netcow.code')
const script = new Script(asset('netcow.cjs').latin1Slice(), {
  filename: 'netcow.cjs',
  // None for a processor that is not that of the build, and refused by another version of V8.
  ...(compiled.length > 0 && { cachedData: compiled }),
})
script.runInThisContext()(require)
