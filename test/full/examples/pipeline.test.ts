import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { clientOf } from '../../cluster/setup.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';

/**
 * Goal: the example runs as it says: a handler in TypeScript, commands, a request, fan-out over the files
 * that are found at run time, and a report of them all. Method: its script against a cluster of real nodes.
 */
const EXAMPLE = fileURLToPath(new URL('../../../scripts/examples/pipeline/', import.meta.url));
const run = promisify(execFile);

describe('the example of a pipeline', function () {
  this.timeout(120_000);
  let cluster: TestCluster;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-pipeline-'));
    const extraFlags = [
      ...['--handlers', path.join(EXAMPLE, 'handlers')],
      ...['--allow-shell', '--http-allow', '127.0.0.1'],
    ];
    cluster = await startCluster({ nodes: 3, extraFlags });
  });
  after(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('packs every file, counts its words, and makes one report of them', async () => {
    const texts: Readonly<Record<string, string>> = {
      'one.txt': 'The goose and the gander: a goose of geese.',
      'two.txt': 'Geese fly. The geese fly south.',
      'three.txt': '',
    };
    for (const [name, text] of Object.entries(texts)) {
      await writeFile(path.join(folder, name), text);
    }
    await writeFile(path.join(folder, 'other.md'), 'goose goose goose');
    const url = cluster.nodes[0]?.url ?? '';
    const args = ['--import=tsx', path.join(EXAMPLE, 'run.ts'), folder, url];
    const { stdout } = await run(process.execPath, args, { timeout: 100_000 });
    const report = JSON.parse(stdout) as Report;
    expect(report.top).to.deep.equal({ geese: 3, fly: 2, goose: 2 });
    expect(report.files.map(({ file, words }) => [path.basename(file), words])).to.deep.equal([
      ...[
        ['one.txt', 9],
        ['three.txt', 0],
        ['two.txt', 6],
      ],
    ]);
    for (const [name, text] of Object.entries(texts)) {
      const packed = await readFile(path.join(folder, 'packed', `${name}.gz`));
      expect(gunzipSync(packed).toString()).to.equal(text);
      const shown = report.files.find(({ file }) => path.basename(file) === name);
      expect(shown?.packed_bytes).to.equal(packed.length);
    }
  });

  it('has said what it did in the logs of its tasks', async () => {
    const client = clientOf(cluster);
    const messages: string[] = [];
    for await (const { id, type } of client.listTasks()) {
      if (type !== 'count-words') continue;
      for await (const { message } of client.logs(id)) messages.push(message);
    }
    expect(messages).to.deep.equal(['counted', 'counted', 'counted']);
  });
});

interface Report {
  readonly files: readonly {
    readonly file: string;
    readonly words: number;
    readonly packed_bytes: number;
  }[];
  readonly top: Readonly<Record<string, number>>;
}
