import type { BlockSource } from '../block/source.ts'
import type { CheckOptions, CheckReport } from './check-report.ts'
import type { Description } from './description.ts'
import type { Explanation } from './explanation.ts'
import type { Format } from './format.ts'
import type { Tell } from './cut-off.ts'
import { Image } from './image.ts'
import { type Qcow2Options, qcow2 } from './qcow2/qcow2.ts'
import { raw } from './raw/raw.ts'

type Options = Qcow2Options

/** Every format that netcow reads. To add one, add its folder and a line here. */
const FORMATS = { qcow2, raw } satisfies Record<string, Format<Options>>

export type FormatName = keyof typeof FORMATS
export const FORMAT_NAMES: readonly string[] = Object.keys(FORMATS)

export interface FormatOptions extends Options {
  /** Never guessed: a guest who writes another format's header into a raw disk gains nothing. */
  readonly format?: FormatName
}

/**
 * Opens the image in `source` as a block source of its virtual size, as it is in the header: an
 * outer layer rounds it up. Disposing of it disposes of `source`, which stays the caller's if
 * this throws. `ImageInvalid` and `ImageUnsupported` name byte offsets within the source.
 */
export async function openImage(source: BlockSource, options: FormatOptions): Promise<BlockSource> {
  let isTold = false
  const tell: Tell = (flaw) => {
    if (!isTold) options.tell?.(flaw)
    isTold = true
  }
  const format = FORMATS[options.format ?? 'qcow2']
  return new Image(await format.open(source, { ...options, tell }), tell)
}

export function isFormatName(text: string): text is FormatName {
  return Object.hasOwn(FORMATS, text)
}

/** What `netcow info` tells of the image in `source`; also of one that `openImage` refuses. */
export function describe(source: BlockSource, format: FormatName = 'qcow2'): Promise<Description> {
  return FORMATS[format].describe(source)
}

/** How `netcow map --offset` finds a byte of the virtual disk in this one file. */
export function explain(
  source: BlockSource,
  offset: number,
  options: FormatOptions,
): Promise<Explanation> {
  return FORMATS[options.format ?? 'qcow2'].explain(source, offset, options)
}

/** What `netcow check` finds; `undefined` for a format without tables. */
export function check(
  source: BlockSource,
  options: CheckOptions & { readonly format?: FormatName },
): Promise<CheckReport | undefined> {
  return FORMATS[options.format ?? 'qcow2'].check(source, options)
}
