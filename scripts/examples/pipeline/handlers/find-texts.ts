import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { defineHandler } from 'skein';

interface Input {
  readonly folder: string;
  readonly out: string;
}

interface StopWords {
  readonly body: readonly string[];
}

/** Finds the texts of a folder, and adds what is to be done with each, and the report of them all. */
export default defineHandler<Input>({
  run: async ({ folder, out }, { results, spawn, log }) => {
    const { body: ignored } = (await results())['stop-words'] as StopWords;
    const names = (await readdir(folder)).filter((name) => name.endsWith('.txt')).toSorted();
    const packed = (name: string): string => path.join(out, `${name}.gz`);
    const counts = names.map((name) => ({
      id: `count ${name}`,
      type: 'count-words',
      payload: { file: path.join(folder, name), ignored },
    }));
    const packs = names.map((name) => ({
      id: `pack ${name}`,
      type: 'shell',
      // Written under another name first: a file that is there is whole, however often this runs.
      payload: {
        command: [
          ...['sh', '-c', 'gzip -9 <"$1" >"$2.part" && mv "$2.part" "$2"'],
          ...['sh', name, packed(name)],
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
    const ids = await spawn([...counts, ...packs, report]);
    log.info('found', { texts: names.length });
    return { texts: names.length, report: ids.at(-1) };
  },
});
