import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { blocksOf, readText } from '../../docs/markdown.ts';
import { startCluster } from '../../support/cluster.ts';
import type { TestCluster } from '../../support/cluster.ts';

/**
 * Goal: the package can be used from elsewhere: `skein/client` with its types, the types of handlers, and
 * the command line, without the sources, without a compiler and without the packaged PostgreSQL.
 * Method: it is packed and installed into a project outside of this checkout, whose program is compiled
 * under strict rules and run against a cluster.
 */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const run = promisify(execFile);
const MINUTES_5 = 300_000;

describe('a project that installs the package', function () {
  this.timeout(MINUTES_5);
  let folder: string;
  let cluster: TestCluster;
  const inside = (program: string, args: readonly string[]): Promise<{ stdout: string }> =>
    run(program, args, { cwd: folder, timeout: MINUTES_5 });

  before(async () => {
    cluster = await startCluster({ nodes: 2 });
    folder = await mkdtemp(path.join(tmpdir(), 'skein-consumer-'));
    // The build is there: packing it must not begin another one.
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: ROOT });
    const packed = (await readdir(folder)).find((file) => file.endsWith('.tgz')) ?? '';
    const project = { name: 'consumer', private: true, type: 'module' };
    await writeFile(path.join(folder, 'package.json'), JSON.stringify(project));
    await copyFile(
      fileURLToPath(new URL('consumer/program.ts', import.meta.url)),
      path.join(folder, 'program.ts'),
    );
    // The page about the client shows another, which must run as well.
    const shown = blocksOf(readText('deploy/client.md')).find(
      ({ info }) => info.join(' ') === 'ts program',
    );
    const [first = '', second = ''] = cluster.nodes.map(({ url }) => url);
    const text = (shown?.lines ?? [])
      .join('\n')
      .replace('http://127.0.0.1:8080', first)
      .replace('http://127.0.0.1:8081', second);
    await writeFile(path.join(folder, 'shown.ts'), text);
    const compilerOptions = {
      ...{ target: 'es2022', module: 'nodenext', strict: true, skipLibCheck: false },
      ...{ exactOptionalPropertyTypes: true, types: [], lib: ['es2022', 'dom', 'dom.iterable'] },
    };
    await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
    const quietly = ['--ignore-scripts', '--omit=optional', '--no-audit', '--no-fund'];
    await inside('npm', ['install', '--prefer-offline', ...quietly, `./${packed}`]);
  });
  after(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('compiles and runs a program with its client', async () => {
    await inside(process.execPath, [path.join(ROOT, 'node_modules/typescript/bin/tsc')]);
    const urls = cluster.nodes.map(({ url }) => url);
    const { stdout } = await inside(process.execPath, ['program.js', ...urls]);
    expect(JSON.parse(stdout)).to.deep.equal({
      ended: 'COMPLETED',
      watched: 'COMPLETED',
      refused: 'invalid',
    });
  });

  it('runs what the page about the client shows', async () => {
    const { stdout } = await inside(process.execPath, ['shown.js']);
    expect(stdout).to.match(/^COMPLETED\nnode-[12]\ninvalid \[/);
  });

  it('has the command line, which needs no compiler', async () => {
    const bin = path.join('node_modules', '.bin', 'skein');
    const url = cluster.nodes[0]?.url ?? '';
    const { stdout } = await inside(bin, ['cluster', '--url', url, '--json']);
    expect(JSON.parse(stdout)).to.include({ term: 1 });
  });
});
