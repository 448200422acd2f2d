import { readdir } from 'node:fs/promises';
import path from 'node:path';

/**
 * A workflow over the text files of a folder, whichever those are when it is made:
 *
 *                     ┌─▶ count <file>  (handlers/count-words.ts) ─┐
 *   stop-words (http) ┤                                            ├─▶ report (handlers/word-report.ts)
 *                     └─▶ …                                        │
 *                         pack <file>   (shell: gzip) ─────────────┘
 */
export interface PipelineOptions {
  readonly folder: string;
  /** Where the packed files go; it exists. */
  readonly out: string;
  /** Answers a JSON array of words. */
  readonly stopWordsUrl: string;
}

export interface PipelineTask {
  readonly id: string;
  readonly type: string;
  readonly payload: unknown;
  readonly dependencies?: readonly string[];
}

export async function pipelineOf(options: PipelineOptions): Promise<readonly PipelineTask[]> {
  const { folder, out, stopWordsUrl } = options;
  const names = (await readdir(folder)).filter((name) => name.endsWith('.txt')).toSorted();
  const stopWords = { id: 'stop-words', type: 'http', payload: { url: stopWordsUrl } };
  const counts = names.map((name) => ({
    id: `count ${name}`,
    type: 'count-words',
    payload: { file: path.join(folder, name) },
    dependencies: [stopWords.id],
  }));
  const packs = names.map((name) => ({
    id: `pack ${name}`,
    type: 'shell',
    // Written under another name first: a file that is there is whole, however often this runs.
    payload: {
      command: [
        'sh',
        '-c',
        'gzip -9 <"$1" >"$2.part" && mv "$2.part" "$2"',
        'sh',
        name,
        packed(name),
      ],
      cwd: folder,
    },
  }));
  const report = {
    id: 'report',
    type: 'word-report',
    payload: {
      packed: Object.fromEntries(names.map((name) => [path.join(folder, name), packed(name)])),
    },
    dependencies: [...counts, ...packs].map(({ id }) => id),
  };
  return [stopWords, ...counts, ...packs, report];

  function packed(name: string): string {
    return path.join(out, `${name}.gz`);
  }
}
