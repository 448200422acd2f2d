/**
 * The last things that happened, task by task, for a debugger and for the text of a broken invariant.
 * A ring of columns: no object per event, a fixed 1.3 MB.
 */
const CAPACITY = 65_536;

const WORDS = [
  'loaded',
  'ready',
  'asked',
  'leased',
  'refused',
  'settled',
  'requeued',
  'doomed',
  'ended',
  'reread',
  'reclaimed',
  'cancelled',
] as const;
export type StoryWord = (typeof WORDS)[number];
const CODES = Object.fromEntries(WORDS.map((word, at) => [word, at])) as Record<StoryWord, number>;

export class Story {
  private readonly seqs = new Float64Array(CAPACITY);
  private readonly details = new Float64Array(CAPACITY);
  private readonly words = new Uint8Array(CAPACITY);
  private count = 0;

  /** `detail` is what the word needs: a lease number, a node, an end code. */
  add(seq: number, word: StoryWord, detail: number): void {
    const at = this.count % CAPACITY;
    this.seqs[at] = seq;
    this.details[at] = detail;
    this.words[at] = CODES[word];
    this.count += 1;
  }

  /** What is still known of one task, oldest first. */
  of(seq: number): readonly string[] {
    const lines: string[] = [];
    for (let at = Math.max(0, this.count - CAPACITY); at < this.count; at++) {
      const slot = at % CAPACITY;
      if (this.seqs[slot] !== seq) continue;
      lines.push(`${WORDS[this.words[slot] as number] ?? ''} ${String(this.details[slot])}`);
    }
    return lines;
  }
}
