import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { deadUrl, startScripted, taskBody } from './support.ts';
import type { Ran } from './support.ts';

/** Goal: the process ends when it should, with the right code. Method: real processes from the sources. */
const MAIN = fileURLToPath(new URL('../../node/main.ts', import.meta.url));

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Reads so much of stdout, and then goes away. */
  readonly readBytes?: number;
}

async function main(args: readonly string[], options: Options = {}): Promise<Ran> {
  const { PATH = '' } = process.env;
  const child = spawn(process.execPath, ['--import', 'tsx', MAIN, ...args], {
    env: { PATH, ...options.env },
    stdio: 'pipe',
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    if (out.length >= (options.readBytes ?? Number.POSITIVE_INFINITY)) child.stdout.destroy();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  // Left open, as the pipe of a program that has more to say would be.
  if (options.input !== undefined) child.stdin.write(options.input);
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? -1, out, err };
}

describe('main', () => {
  it('names every fault of the settings at once, and ends with 2', async () => {
    const ran = await main(['node', '--http-port', 'x'], { env: { SKEIN_SLOTS: '0' } });
    expect(ran).to.include({ code: 2, out: '' });
    const lines = ran.err.trimEnd().split('\n').toSorted();
    expect(lines).to.have.lengthOf(2);
    expect(lines[0]).to.match(/^skein: --http-port: /);
    expect(lines[1]).to.match(/^skein: SKEIN_SLOTS: /);
  });

  it('logs why a node cannot start, and ends with 1', async () => {
    const database = (await deadUrl()).replace('http://', 'postgres://skein@');
    const ran = await main(['node', '--database-url', `${database}/skein`, '--log-format', 'json']);
    expect(ran.code).to.equal(1);
    const last = JSON.parse(ran.out.trimEnd().split('\n').at(-1) ?? '') as object;
    expect(last).to.include({ level: 'error', message: 'The node could not start.' });
  });

  it('does not wait for a stdin that nobody needs any more', async () => {
    const url = await deadUrl();
    const input = '{"type":"noop"}\n{"type":"noop"}\n';
    const ran = await main(['submit', '-', '--url', url], { input });
    expect(ran).to.deep.equal({
      code: 1,
      out: '',
      err: `skein: cannot reach ${url} (ECONNREFUSED)\n`,
    });
  });

  it('ends quietly when the reader of its output has gone', async () => {
    const page = Array.from({ length: 500 }, (_, n) => taskBody(`t${String(n)}`, 'COMPLETED'));
    const node = await startScripted(() => ({ status: 200, body: page, next: '/tasks?cursor=1' }));
    try {
      // A list without an end: only the reader's going away ends it.
      const ran = await main(['list', '--all', '--json', '--url', node.url], { readBytes: 1 });
      expect(ran).to.include({ code: 0, err: '' });
    } finally {
      await node.stop();
    }
  });
});
