import { randomUUID } from 'node:crypto';
import { readSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/**
 * The lines of a body that is too long to keep: in memory up to a bound, in a temporary file beyond
 * it. The file is unlinked as soon as it is open, so that nothing is left whatever happens.
 */
export class Spool {
  readonly #memoryMax: number;
  #memory = Buffer.allocUnsafe(64 * 1024);
  /** Bytes in `#memory`: all there are, or those not yet in the file. */
  #used = 0;
  #file: FileHandle | null = null;
  #fileBytes = 0;

  constructor(memoryMax: number) {
    this.#memoryMax = memoryMax;
  }

  get isOnDisk(): boolean {
    return this.#file !== null;
  }

  /** Takes the bytes in; returns where they are. */
  async append(bytes: Buffer): Promise<number> {
    if (this.#used + bytes.length > this.#memoryMax) await this.#flush();
    if (this.#used + bytes.length > this.#memory.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(Math.max(this.#memory.length * 2, this.#used + bytes.length), this.#memoryMax),
      );
      this.#memory.copy(grown, 0, 0, this.#used);
      this.#memory = grown;
    }
    const offset = this.#fileBytes + this.#used;
    bytes.copy(this.#memory, this.#used);
    this.#used += bytes.length;
    return offset;
  }

  /**
   * Reads back what was taken in. Without a promise: a read of the page cache takes two
   * microseconds, and a bulk submit makes one a task.
   */
  read(offset: number, length: number): Buffer {
    if (offset >= this.#fileBytes) {
      const start = offset - this.#fileBytes;
      return this.#memory.subarray(start, start + length);
    }
    const bytes = Buffer.allocUnsafe(length);
    for (let done = 0; done < length;) {
      const fd = (this.#file as FileHandle).fd;
      const count = readSync(fd, bytes, done, length - done, offset + done);
      if (count === 0) throw new Error('a spooled body ended early');
      done += count;
    }
    return bytes;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
  }

  async #flush(): Promise<void> {
    if (this.#file === null) {
      const name = path.join(tmpdir(), `skein-body-${randomUUID()}`);
      this.#file = await open(name, 'wx+', 0o600);
      await unlink(name);
    }
    let done = 0;
    while (done < this.#used) {
      const { bytesWritten } = await this.#file.write(
        this.#memory,
        done,
        this.#used - done,
        this.#fileBytes + done,
      );
      done += bytesWritten;
    }
    this.#fileBytes += this.#used;
    this.#used = 0;
  }
}
