import { readFile } from 'node:fs/promises';
import { defineHandler } from 'skein';

interface Input {
  readonly file: string;
}

interface StopWords {
  readonly body: readonly string[];
}

/** How often each word of a file occurs, but for those that the answer of the http step names. */
export default defineHandler<Input>({
  version: '1.0.0',
  parse: (payload) => {
    const { file } = payload as Partial<Input>;
    if (typeof file !== 'string') throw new Error('file must be a path');
    return { file };
  },
  run: async ({ file }, { results, log, progress, signal }) => {
    const { body } = (await results())['stop-words'] as StopWords;
    const ignored = new Set(body);
    const text = await readFile(file, { encoding: 'utf8', signal });
    progress(0.5, 'read');
    const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
    const counts: Record<string, number> = {};
    for (const word of words) {
      if (!ignored.has(word)) counts[word] = (counts[word] ?? 0) + 1;
    }
    log.info('counted', { file, words: words.length });
    return { file, words: words.length, counts };
  },
});
