import { readFile } from 'node:fs/promises';
import { defineHandler } from 'skein';

interface Input {
  readonly file: string;
  readonly ignored: readonly string[];
}

/** How often each word of a file occurs, but for those that are to be ignored. */
export default defineHandler<Input>({
  version: '1.0.0',
  parse: (payload) => {
    const { file, ignored = [] } = payload as Partial<Input>;
    if (typeof file !== 'string') throw new Error('file must be a path');
    return { file, ignored };
  },
  run: async ({ file, ignored: words }, { log, progress, signal }) => {
    const ignored = new Set(words);
    const text = await readFile(file, { encoding: 'utf8', signal });
    progress(0.5, 'read');
    const found = text.toLowerCase().match(/\p{L}+/gu) ?? [];
    const counts: Record<string, number> = {};
    for (const word of found) {
      if (!ignored.has(word)) counts[word] = (counts[word] ?? 0) + 1;
    }
    log.info('counted', { file, words: found.length });
    return { file, words: found.length, counts };
  },
});
