import type { MicroScenario } from '../../scenario.ts'

export const scenario: MicroScenario = {
  kind: 'micro',
  description: 'attach an image over HTTP on nothing but busybox, mount, write and detach',
  suite: 'trixie',
  tested: true,
}
