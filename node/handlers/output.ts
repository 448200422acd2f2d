import { StringDecoder } from 'node:string_decoder';

/** The last bytes of a stream, however much came before; memory is bounded by twice of what is kept. */
export class OutputTail {
  private readonly bytesMax: number;
  private chunks: Buffer[] = [];
  private length = 0;
  /** All that came, kept or not. */
  total = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  push(chunk: Buffer): void {
    this.total += chunk.length;
    this.chunks.push(chunk);
    this.length += chunk.length;
    if (this.length <= 2 * this.bytesMax) return;
    const kept = this.bytes();
    this.chunks = [kept];
    this.length = kept.length;
  }

  bytes(): Buffer {
    const all = Buffer.concat(this.chunks);
    // A copy: what is cut away must not be held.
    return all.length > this.bytesMax ? Buffer.from(all.subarray(-this.bytesMax)) : all;
  }
}

/** Lines of a stream as they come; one that does not end is cut where it grows too long. */
export class LineSplitter {
  private readonly decoder = new StringDecoder('utf8');
  private readonly onLine: (line: string) => void;
  private readonly lengthMax: number;
  private rest = '';

  constructor(lengthMax: number, onLine: (line: string) => void) {
    this.lengthMax = lengthMax;
    this.onLine = onLine;
  }

  push(chunk: Buffer): void {
    const lines = (this.rest + this.decoder.write(chunk)).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.emit(line);
    while (this.rest.length > this.lengthMax) {
      this.emit(this.rest.slice(0, this.lengthMax));
      this.rest = this.rest.slice(this.lengthMax);
    }
  }

  end(): void {
    const rest = this.rest + this.decoder.end();
    this.rest = '';
    if (rest !== '') this.emit(rest);
  }

  private emit(line: string): void {
    for (let from = 0; from === 0 || from < line.length; from += this.lengthMax) {
      this.onLine(line.slice(from, from + this.lengthMax).replace(/\r$/, ''));
    }
  }
}
