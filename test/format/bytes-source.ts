import { Bytes } from '../../src/block/bytes.ts'

/** Bytes of any length as a source that counts what is read from it. */
export class BytesSource extends Bytes {
  reads = 0
  readBytes = 0
  disposed = false

  override async read(target: Uint8Array, offset: number): Promise<void> {
    this.reads++
    this.readBytes += target.length
    return super.read(target, offset)
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.disposed = true
  }
}
