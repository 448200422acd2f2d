import { expect } from 'chai';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { guard } from '../support/guard.ts';
import type { Guard } from '../support/guard.ts';

/**
 * Goal: `npm start` gives a cluster that works, leaves nothing behind when it is told to stop, and
 * finds its data again when everything was killed.
 * Method: the real command with processes of its own, in a folder with a space in its name.
 */
const BOOTSTRAP = fileURLToPath(new URL('../../scripts/bootstrap.mjs', import.meta.url));

interface Ready {
  readonly nodes: readonly { name: string; pid: number; http_url: string; grpc_address: string }[];
  readonly leader: string;
  readonly term: number;
  readonly database: string;
  readonly data_dir: string;
}

interface Started {
  readonly launcher: ChildProcess;
  readonly ready: Ready;
  /** Everything that came on stdout. */
  readonly lines: readonly string[];
}

describe('npm start', function () {
  // The command may have to build first.
  this.timeout(120_000);

  let folder: string;
  const launchers: ChildProcess[] = [];
  const guards: Guard[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein start-'));
    await chmod(folder, 0o755);
  });

  afterEach(async () => {
    for (const launcher of launchers.splice(0)) {
      if (launcher.exitCode !== null || launcher.signalCode !== null) continue;
      launcher.kill('SIGTERM');
      await once(launcher, 'exit');
    }
    for (const { takeBack } of guards.splice(0)) takeBack();
    await rm(folder, { recursive: true, force: true });
  });

  async function start(...more: string[]): Promise<Started> {
    const flags = ['--json', '--http-port', '0', '--grpc-port', '0', '--data-dir', folder];
    const launcher = spawn(process.execPath, [BOOTSTRAP, 'start', ...flags, ...more], {
      env: { ...process.env, DATABASE_URL: '', SKEIN_DATABASE_URL: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    launcher.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    launchers.push(launcher);
    guards.push(guard('kill -TERM "$1"', [String(launcher.pid)]));
    const lines: string[] = [];
    const reader = createInterface(launcher.stdout);
    reader.on('line', (line) => lines.push(line));
    await Promise.race([
      once(reader, 'line'),
      once(launcher, 'close').then(() => Promise.reject(new Error(`it was never ready: ${said}`))),
    ]);
    return { launcher, ready: JSON.parse(lines[0] ?? '') as Ready, lines };
  }

  async function post(url: string, body: unknown): Promise<void> {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(answer.status, await answer.text()).to.equal(201);
  }

  async function statusOf(ready: Ready, id: string, wait = ''): Promise<string> {
    const url = `${ready.nodes[0]?.http_url ?? ''}/tasks/${id}${wait}`;
    return ((await (await fetch(url)).json()) as { status: string }).status;
  }

  it('says as one line of JSON what runs, runs a task, and takes all down when told', async () => {
    const { launcher, ready, lines } = await start('--nodes', '2');
    expect(ready.nodes.map((node) => node.name)).to.deep.equal(['node-1', 'node-2']);
    expect(ready).to.include({ database: 'embedded', data_dir: folder });
    expect(['node-1', 'node-2']).to.include(ready.leader);
    await post(`${ready.nodes[1]?.http_url ?? ''}/tasks`, {
      id: 'first',
      type: 'data_processing',
      duration_ms: 10,
    });
    expect(await statusOf(ready, 'first', '?wait=20s')).to.equal('COMPLETED');

    launcher.kill('SIGTERM');
    expect((await once(launcher, 'exit'))[0]).to.equal(0);
    expect(lines).to.have.length(1);
    for (const { pid } of ready.nodes) expect(isAlive(pid)).to.equal(false);
    expect(await maybePostmaster(folder)).to.equal(undefined);
  });

  it('goes on with the same data after kill -9 of everything', async () => {
    const first = await start('--nodes', '2');
    const [node] = first.ready.nodes;
    await post(`${node?.http_url ?? ''}/tasks`, {
      id: 'kept',
      type: 'data_processing',
      duration_ms: 300,
    });
    const postmaster = await maybePostmaster(folder);
    const all = [first.launcher.pid, ...first.ready.nodes.map(({ pid }) => pid), postmaster];
    const ended = once(first.launcher, 'exit');
    for (const pid of all) process.kill(pid ?? 0, 'SIGKILL');
    await ended;

    const second = await start('--nodes', '2');
    expect(second.ready.term).to.be.greaterThan(first.ready.term);
    expect(await statusOf(second.ready, 'kept', '?wait=30s')).to.equal('COMPLETED');
  });

  it('keeps the others going when a node is killed, and ends when none is left', async () => {
    const { launcher, ready } = await start('--nodes', '2');
    const leader = ready.nodes.find((node) => node.name === ready.leader);
    const other = ready.nodes.find((node) => node.name !== ready.leader);
    process.kill(leader?.pid ?? 0, 'SIGKILL');
    await post(`${other?.http_url ?? ''}/tasks`, { id: 'after', type: 'noop' });
    const answer = await fetch(`${other?.http_url ?? ''}/tasks/after?wait=20s`);
    expect(await answer.json()).to.include({ status: 'COMPLETED' });
    const ended = once(launcher, 'exit');
    process.kill(other?.pid ?? 0, 'SIGKILL');
    expect((await ended)[0]).to.equal(1);
    expect(await maybePostmaster(folder)).to.equal(undefined);
  });

  it('names a busy port and its flag before it starts anything', async () => {
    const { ready } = await start('--nodes', '1');
    const port = new URL(ready.nodes[0]?.http_url ?? '').port;
    const second = spawn(process.execPath, [BOOTSTRAP, 'start', '--http-port', port], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    second.stderr.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    expect((await once(second, 'close'))[0]).to.equal(1);
    expect(said).to.include(
      `port ${port} (HTTP of node-1) is in use: choose others with --http-port`,
    );
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function maybePostmaster(folder: string): Promise<number | undefined> {
  const file = path.join(folder, 'postgres', 'pgdata', 'postmaster.pid');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  return text === undefined ? undefined : Number(text.split('\n')[0]);
}
