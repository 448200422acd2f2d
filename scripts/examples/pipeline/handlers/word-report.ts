import { stat } from 'node:fs/promises';
import { defineHandler } from 'skein';

interface Input {
  /** Of each file the packed one. */
  readonly packed: Readonly<Record<string, string>>;
}

interface Counted {
  readonly file: string;
  readonly words: number;
  readonly counts: Readonly<Record<string, number>>;
}

const TOP = 3;

/** One report out of what all the other tasks of the workflow have answered. */
export default defineHandler<Input>({
  run: async ({ packed }, { results, progress }) => {
    const counted = Object.values(await results()).filter(isCounted);
    const total = new Map<string, number>();
    for (const { counts } of counted) {
      for (const [word, count] of Object.entries(counts)) {
        total.set(word, (total.get(word) ?? 0) + count);
      }
    }
    const files = [];
    for (const { file, words } of counted.toSorted((a, b) => (a.file < b.file ? -1 : 1))) {
      const { size } = await stat(packed[file] ?? '');
      files.push({ file, words, packed_bytes: size });
      progress(files.length / counted.length);
    }
    const top = [...total].toSorted(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, TOP);
    return { files, top: Object.fromEntries(top) };
  },
});

function isCounted(result: unknown): result is Counted {
  return typeof result === 'object' && result !== null && 'counts' in result;
}
