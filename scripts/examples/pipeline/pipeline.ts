/**
 * A workflow over the text files of a folder, whichever those are when it runs:
 *
 *                                             ┌─▶ count <file>  (handlers/count-words.ts) ─┐
 *   stop-words (http) ─▶ find ─ ─ adds ─ ─ ─ ─┼─▶ …                                        ├─▶ report
 *               (handlers/find-texts.ts)      └─▶ pack <file>   (shell: gzip) ─────────────┘
 *                                                                      (handlers/word-report.ts)
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

export function pipelineOf({
  folder,
  out,
  stopWordsUrl,
}: PipelineOptions): readonly PipelineTask[] {
  return [
    { id: 'stop-words', type: 'http', payload: { url: stopWordsUrl } },
    { id: 'find', type: 'find-texts', payload: { folder, out }, dependencies: ['stop-words'] },
  ];
}
