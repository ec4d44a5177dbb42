import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: "dracut's own shutdown, asked for and unpacked from the image, unmounts the root",
  image: { suite: 'bookworm', layout: 'filesystem', compression: 'zlib', extras: ['dracut'] },
  tested: false,
  deadlineMs: 600_000,
  words: (url) => [`root=netcow:${url}`],
  says: [/netcow: dracut's own shutdown will take the root apart/, /Unmounted \/oldroot\./],
  expects: { kind: 'boots' },
}
