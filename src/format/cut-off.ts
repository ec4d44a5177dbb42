import { ImageInvalid } from '../errors.ts'

/** Takes what is wrong with an image but keeps nobody from reading it. */
export type Tell = (flaw: ImageInvalid) => void

/** What to do about a file that is too short. */
export const COPIED_WHOLE = 'look whether the file was copied whole'

/** A file that ends early reads as zeroes from there on, as in QEMU, which nobody may have meant. */
export function cutOff(offset: number): ImageInvalid {
  return new ImageInvalid(
    'clusters of the image lie behind the end of their file, and read as zeroes',
    {
      where: { offset },
      advice: COPIED_WHOLE,
    },
  )
}
