import type { BlockSource } from '../../../block/source.ts'
import { ImageInvalid, ImageUnsupported } from '../../../errors.ts'
import type { Extensions } from '../extensions.ts'
import type { Header } from '../header.ts'
import { Decrypting } from './decrypting.ts'
import type { LuksPlace } from './luks-header.ts'
import { unlockLuks } from './luks-unlock.ts'
import { SECTOR, sectorCipher } from './sector-cipher.ts'

/** Section "Header": crypt_method. */
const AES = 1
const LUKS = 2
const AES_KEY_BYTES = 16

/** From where the standard clusters are read in clear. */
export interface ClusterSource {
  readonly encrypted: boolean
  /** The source of a run at these host and guest offsets; its offsets are those of the host. */
  at(host: number, guest: number): BlockSource
}

/**
 * Finds how the clusters in `clusters` are encrypted, and unlocks them. Legacy AES cannot tell a
 * wrong passphrase from a right one; LUKS throws `UsageError`.
 */
export async function unlock(
  source: BlockSource,
  clusters: BlockSource,
  header: Header,
  extensions: Extensions,
  passphrase: Uint8Array | undefined,
): Promise<ClusterSource> {
  switch (header.crypt_method) {
    case 0:
      return { encrypted: false, at: () => clusters }
    case AES: {
      const key = new Uint8Array(AES_KEY_BYTES)
      key.set(needed(passphrase, 'legacy AES').subarray(0, AES_KEY_BYTES))
      const cipher = sectorCipher('aes', 'cbc-plain64', key)
      const at = (host: number, guest: number) =>
        new Decrypting(clusters, cipher, (guest - host) / SECTOR)
      return { encrypted: true, at }
    }
    case LUKS: {
      const place = luksPlace(header, extensions)
      const cipher = await unlockLuks(source, place, needed(passphrase, 'LUKS'))
      const clear = new Decrypting(clusters, cipher)
      return { encrypted: true, at: () => clear }
    }
    default:
      throw new ImageUnsupported(`encryption method ${header.crypt_method}`, {
        where: { offset: 32 },
      })
  }
}

/** Section "Full disk encryption header pointer". */
export function luksPlace(header: Header, extensions: Extensions): LuksPlace {
  const place = extensions.encryption
  if (!place)
    throw new ImageInvalid('the image is encrypted with LUKS but has no LUKS header', {
      where: { offset: 32 },
    })
  if (!Number.isSafeInteger(place.offset) || place.offset % 2 ** header.cluster_bits !== 0)
    throw new ImageInvalid('the LUKS header does not begin at a cluster', {
      where: { offset: place.offset },
    })
  return place
}

function needed(passphrase: Uint8Array | undefined, method: string): Uint8Array {
  if (passphrase) return passphrase
  throw new ImageUnsupported(`the image is encrypted with ${method}`, {
    where: { offset: 32 },
    advice: 'give its passphrase with --luks-key-file',
  })
}
