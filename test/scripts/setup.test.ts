import { expect } from 'chai';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Goal: set-up happens when, and only when, it is needed, also when two commands start at once.
 * Method: the real scripts in a checkout of straw, with an npm, a tsc and a vite that only count their runs.
 */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LOCK = { packages: { '': {}, 'node_modules/typescript': { version: '1.0.0' } } };

const NPM = `
  const fs = require('fs');
  fs.appendFileSync('npm-runs', process.argv.slice(2).join(' ') + '\\n');
  fs.mkdirSync('node_modules/typescript/bin', { recursive: true });
  fs.copyFileSync('straw-tsc.cjs', 'node_modules/typescript/bin/tsc');
  fs.cpSync('straw-packages', 'node_modules', { recursive: true });
  fs.copyFileSync('package-lock.json', 'node_modules/.package-lock.json');`;

const TSC = `
  const fs = require('fs');
  fs.appendFileSync('tsc-runs', 'run\\n');
  const out = process.argv[process.argv.indexOf('--outDir') + 1];
  fs.mkdirSync(out + '/node', { recursive: true });
  fs.writeFileSync(out + '/node/main.js', 'console.log(process.argv.slice(2).join(" "))');
  if (fs.existsSync('broken')) { console.error('a type error'); process.exit(2); }`;

const VITE = `
  const fs = require('fs');
  exports.build = async ({ build: { outDir } }) => {
    fs.appendFileSync('vite-runs', 'run\\n');
    fs.mkdirSync(outDir, { recursive: true });
    fs.writeFileSync(outDir + '/index.html', '');
  };`;

const PACKAGES = {
  'vite/index.cjs': VITE,
  'vite/package.json': '{"main":"index.cjs"}',
  'swagger-ui-dist/swagger-ui.css': '',
  'swagger-ui-dist/swagger-ui-bundle.js': '',
};

describe('the set-up before every command', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein set up-'));
    await cp(path.join(ROOT, 'scripts'), path.join(folder, 'scripts'), { recursive: true });
    await mkdir(path.join(folder, 'node', 'store', 'migrations'), { recursive: true });
    await mkdir(path.join(folder, 'proto'));
    await write('node/store/migrations/0001_first.sql', 'select 1;');
    await write('proto/skein.proto', 'syntax = "proto3";');
    await write('straw-npm/npm-cli.js', NPM);
    await write('straw-tsc.cjs', TSC);
    for (const [file, text] of Object.entries(PACKAGES))
      await write(`straw-packages/${file}`, text);
    await write('node/api/docs/index.html', '');
    await write('node/dashboard/vite.config.mjs', 'export const config = { build: {} };');
    await write('package-lock.json', JSON.stringify(LOCK));
    await write('package.json', '{"type":"module"}');
    await write('straw-npm/package.json', '{"type":"commonjs"}');
    for (const name of ['tsconfig.json', 'tsconfig.build.json']) await write(name, '{}');
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function write(file: string, text: string): Promise<void> {
    await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
    await writeFile(path.join(folder, file), text);
  }

  async function runsOf(tool: string): Promise<number> {
    const text = await readFile(path.join(folder, `${tool}-runs`), 'utf8').catch(() => '');
    return text.split('\n').length - 1;
  }

  function run(script: string, ...args: string[]): Promise<{ code: number | null; out: string }> {
    return new Promise((resolve, reject) => {
      const env = { ...process.env, npm_execpath: path.join(folder, 'straw-npm', 'npm-cli.js') };
      const child = spawn(process.execPath, [path.join(folder, 'scripts', script), ...args], {
        env,
        cwd: folder,
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      let out = '';
      child.stdout.on('data', (chunk: Buffer) => {
        out += chunk.toString();
      });
      child.once('error', reject);
      child.once('close', (code) => resolve({ code, out }));
    });
  }

  it('installs and builds once, then not again', async () => {
    expect(await run('bootstrap.mjs', 'build')).to.deep.equal({ code: 0, out: '' });
    expect(await run('bootstrap.mjs', 'build')).to.deep.equal({ code: 0, out: '' });
    expect([await runsOf('npm'), await runsOf('tsc')]).to.deep.equal([1, 1]);
    expect(await runsOf('vite')).to.equal(1);
    expect(await readdir(path.join(folder, 'dist/node/dashboard/page'))).to.include('index.html');
    expect(await readFile(path.join(folder, 'dist/proto/skein.proto'), 'utf8')).to.include(
      'proto3',
    );
    const migration = 'dist/node/store/migrations/0001_first.sql';
    expect(await readFile(path.join(folder, migration), 'utf8')).to.equal('select 1;');
  });

  it('does the work once when three commands start at once', async () => {
    const three = ['build', 'build', 'build'].map((name) => run('bootstrap.mjs', name));
    const codes = (await Promise.all(three)).map(({ code }) => code);
    expect(codes).to.deep.equal([0, 0, 0]);
    expect([await runsOf('npm'), await runsOf('tsc')]).to.deep.equal([1, 1]);
    const left = (await readdir(folder)).filter((name) => name.startsWith('dist.'));
    expect(left).to.deep.equal([]);
  });

  it('builds again when a source has changed, and installs again when the lock file has', async () => {
    await run('bootstrap.mjs', 'build');
    await write('node/new.ts', 'export {};');
    await run('bootstrap.mjs', 'build');
    expect([await runsOf('npm'), await runsOf('tsc')]).to.deep.equal([1, 2]);
    const packages = { ...LOCK.packages, 'node_modules/more': { version: '1.0.0' } };
    await write('package-lock.json', JSON.stringify({ packages }));
    await run('bootstrap.mjs', 'build');
    expect([await runsOf('npm'), await runsOf('tsc')]).to.deep.equal([2, 3]);
  });

  it('takes packages that npm installed by hand as they are, those of other platforms aside', async () => {
    const packages = { ...LOCK.packages, 'node_modules/mac': { version: '1.0.0', optional: true } };
    await write('package-lock.json', JSON.stringify({ packages }));
    await write('node_modules/.package-lock.json', JSON.stringify(LOCK));
    await write('node_modules/typescript/bin/tsc', TSC);
    for (const [file, text] of Object.entries(PACKAGES)) await write(`node_modules/${file}`, text);
    expect(await run('bootstrap.mjs', 'build')).to.deep.equal({ code: 0, out: '' });
    expect(await runsOf('npm')).to.equal(0);
  });

  it('keeps the last good build when a new one fails', async () => {
    await run('bootstrap.mjs', 'build');
    await write('broken', '');
    await write('node/new.ts', 'export {};');
    expect((await run('bootstrap.mjs', 'build')).code).to.equal(1);
    expect(await readFile(path.join(folder, 'dist/node/main.js'), 'utf8')).to.include('argv');
    await rm(path.join(folder, 'broken'));
    expect((await run('bootstrap.mjs', 'build')).code).to.equal(0);
  });

  it('steps over the lock of a command that was killed', async () => {
    // 2^22 is above every process number that Linux gives out.
    await write('.cache/setup.lock', '4194304');
    expect((await run('bootstrap.mjs', 'build')).code).to.equal(0);
  });

  it('hands the arguments of skein over, with nothing else on stdout', async () => {
    expect(await run('skein.mjs', 'get', 'task-A')).to.deep.equal({ code: 0, out: 'get task-A\n' });
    expect(await readdir(path.join(folder, 'node_modules/.bin'))).to.include('skein');
  });

  it('lists its commands, and refuses one that it does not know', async () => {
    expect((await run('bootstrap.mjs', 'help')).out).to.match(/^npm start .*\n(.+\n)+$/);
    expect((await run('bootstrap.mjs', 'dance')).code).to.equal(2);
  });
});
