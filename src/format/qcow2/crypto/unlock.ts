import type { BlockSource } from '../../../block/source.ts'
import { ImageUnsupported, UsageError } from '../../../errors.ts'
import type { Extensions } from '../extensions.ts'
import type { Header } from '../header.ts'
import { Decrypting } from './decrypting.ts'
import { luksPlace } from './luks-header.ts'
import { LuksVolume } from './luks-volume.ts'
import { type SectorCipher, sectorCipher } from './sector-cipher.ts'
import { SECTOR } from './sector.ts'

/** Section "Header": crypt_method. */
const AES = 1
const LUKS = 2
const AES_KEY_BYTES = 16

/**
 * Asked for a passphrase until one opens the image, with how many were `refused` so far;
 * `undefined` gives up.
 */
export type Passphrase = (refused: number) => Promise<Uint8Array | undefined>

/** What the user gives to open an image with. */
export interface Keys {
  readonly passphrase?: Passphrase
  /** The only key slot that is tried; without it, all that are in use. */
  readonly keySlot?: number
}

/** From where the standard clusters are read in clear. */
export interface ClusterSource {
  readonly encrypted: boolean
  /** The source of a run at these host and guest offsets; its offsets are those of the host. */
  at(host: number, guest: number): BlockSource
}

/**
 * Finds how the clusters in `clusters` are encrypted (`crypt_method` is not 0), and unlocks them.
 * Throws `UsageError` if no passphrase is the right one, which legacy AES cannot tell.
 */
export async function unlock(
  source: BlockSource,
  clusters: BlockSource,
  header: Header,
  extensions: Extensions,
  { passphrase, keySlot }: Keys,
): Promise<ClusterSource> {
  switch (header.crypt_method) {
    case AES: {
      const key = new Uint8Array(AES_KEY_BYTES)
      const given = (await passphrase?.(0)) ?? missing('legacy AES')
      key.set(given.subarray(0, AES_KEY_BYTES))
      const cipher = sectorCipher('aes', 'cbc-plain64', key)
      const at = (host: number, guest: number) =>
        new Decrypting(clusters, cipher, (guest - host) / SECTOR)
      return { encrypted: true, at }
    }
    case LUKS: {
      const volume = await LuksVolume.open(source, luksPlace(header, extensions), keySlot)
      const clear = new Decrypting(clusters, await cipherOf(volume, passphrase))
      return { encrypted: true, at: () => clear }
    }
    default:
      throw new ImageUnsupported(`encryption method ${header.crypt_method}`, {
        where: { offset: 32 },
      })
  }
}

async function cipherOf(
  volume: LuksVolume,
  passphrase: Passphrase | undefined,
): Promise<SectorCipher> {
  for (let refused = 0; ; refused++) {
    const given = await passphrase?.(refused)
    if (given === undefined && refused === 0) missing('LUKS')
    if (given === undefined)
      throw new UsageError('the passphrase opens none of the LUKS key slots', {
        where: { slots: volume.slots },
        advice: 'check --luks-key-file',
      })
    const cipher = await volume.unlock(given)
    if (cipher) return cipher
  }
}

function missing(method: string): never {
  throw new ImageUnsupported(`the image is encrypted with ${method}`, {
    where: { offset: 32 },
    advice: 'give its passphrase with --luks-key-file',
  })
}
