import type { BlockSource } from './block/source.ts'
import { ImageInvalid, ImageUnsupported } from './errors.ts'
import { type FormatName, isFormatName } from './format/registry.ts'
import { type ImageName, besides, identifier, printable } from './image-name.ts'
import type { HttpOptions, ImagePlan, SourcePlan } from './plan.ts'

/**
 * What an image may lead to. A name inside of one is data: it becomes the plan of another file only
 * by the user's leave, level by level, and never with more than the image itself was given.
 */

/** Deeper chains are a mistake or an attack. */
const LONGEST_CHAIN = 32

/** `above` and the next image below it. Throws for a circle, and for a chain without end. */
export function chained(above: readonly string[], image: ImageName): readonly string[] {
  const id = identifier(image)
  const where = { image: printable(image) }
  if (above.includes(id)) {
    throw new ImageInvalid('the backing chain goes round in a circle', { where })
  }
  if (above.length >= LONGEST_CHAIN) {
    throw new ImageUnsupported(`the backing chain is longer than ${LONGEST_CHAIN} images`, {
      where,
    })
  }
  return [...above, id]
}

/**
 * The plan of what the name `inside` of an image leads to, with the cache that is left for it in
 * `plan`; undefined without leave for one more file. `open` gets at the first bytes of a file whose
 * format the image does not say.
 */
export async function planBelow(
  plan: ImagePlan,
  inside: string,
  format: string | undefined,
  open: Opener,
): Promise<ImagePlan | undefined> {
  const [permission, ...deeper] = plan.backing
  if (permission === undefined) return undefined
  const below = permission.kind === 'image' ? permission.image : await besides(plan.image, inside)
  if (below === undefined) throw outside(plan.image, inside, '--backing')
  const { snapshot: _snapshot, dataFile: _dataFile, sizeLimit: _limit, ...rest } = plan
  const source: SourcePlan = {
    ...rest,
    offset: 0,
    image: below,
    http: httpBelow(plan, permission.kind === 'image'),
  }
  return {
    ...rest,
    ...source,
    format: await formatOf(source, inside, format, open),
    backing: permission.kind === 'same-origin' ? plan.backing : deeper,
  }
}

/** Opens the bytes of a file. */
type Opener = (plan: SourcePlan) => Promise<BlockSource>

/** How QEMU reaches a file or a disk; as the name of a format, that nothing in it is interpreted. */
const AS_IT_LIES: ReadonlySet<string> = new Set(['file', 'host_device'])

/** An image need not say what lies below it; QEMU then looks at its first bytes, and so do we. */
async function formatOf(
  plan: SourcePlan,
  inside: string,
  said: string | undefined,
  open: Opener,
): Promise<FormatName> {
  if (said !== undefined) {
    if (isFormatName(said)) return said
    if (AS_IT_LIES.has(said)) return 'raw'
    throw new ImageUnsupported(`the backing file ${JSON.stringify(inside)} is ${said}`)
  }
  await using source = await open(plan)
  const magic = new Uint8Array(Math.min(4, source.size))
  if (magic.length > 0) await source.read(magic, 0)
  return Buffer.from(magic).toString('latin1') === 'QFI\xfb' ? 'qcow2' : 'raw'
}

/** The plan of the file that has the clusters of an image, unless there is no leave for it. */
export async function dataFilePlan(
  plan: ImagePlan,
  inside: string | undefined,
): Promise<SourcePlan | undefined> {
  let file = plan.dataFile
  if (file === undefined) {
    if (inside === undefined || plan.backing[0]?.kind !== 'same-origin') return undefined
    file = await besides(plan.image, inside)
    if (file === undefined) throw outside(plan.image, inside, '--data-file')
  }
  const { sizeLimit: _limit, ...rest } = plan
  const http = httpBelow(plan, plan.dataFile !== undefined)
  return { ...rest, offset: 0, image: file, http }
}

/** A file that only the image names may not lead elsewhere; the mirrors are those of the image alone. */
function httpBelow(plan: ImagePlan, isNamedByUser: boolean): HttpOptions {
  return { ...plan.http, mirrors: [], staysAtOrigin: !isNamedByUser }
}

function outside(image: ImageName, inside: string, option: string): ImageUnsupported {
  return new ImageUnsupported(
    `the image names ${JSON.stringify(inside)}, which is not a file beside it`,
    {
      where: { image: printable(image) },
      advice: `if you trust it, say where it is with ${option} URL`,
    },
  )
}
