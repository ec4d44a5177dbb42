import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: '512 MiB, and processes that want more than there is while they read and write',
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib' },
  tested: false,
  memoryMiB: 512,
  deadlineMs: 900_000,
  words: (url) => [`root=netcow:${url}`, 'rd.netcow.overlay=memory:64M', 'rd.netcow.cache=32M'],
  // The kernel ends processes, though never ours, and says how it came to that.
  complaints: [/Call Trace:/, /Possible stuck request/],
  expects: { kind: 'boots' },
}
