import type { Scenario } from '../../scenario.ts'

export const scenario: Scenario = {
  description: 'Debian 12 on arm64, from the cross-built executable',
  image: { suite: 'bookworm', architecture: 'arm64', layout: 'gpt', compression: 'zstd' },
  tested: false,
  deadlineMs: 900_000,
  expects: { kind: 'boots' },
}
