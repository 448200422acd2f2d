import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect } from 'chai';
import type { SkeinClient } from '../../node/client/client.ts';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { handlersFolder, type HandlersFolder } from '../support/handlers-folder.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from './setup.ts';

/**
 * Goal: users' modules run as they say, whatever they do the cluster goes on, and only the task at fault
 * is charged. Method: a cluster of real nodes whose handlers are files in a folder elsewhere.
 * Seen to fail: each test names the change of the code that it caught.
 */
const MODULES = {
  'greet.ts': `
    import { defineHandler } from 'skein';
    import { textFor, type Name } from './lib/text.ts';
    export default defineHandler<Name>({
      version: '1.2.3',
      run: (input, { task, attempt, fencingToken, log, progress }) => {
        log.info('greets', { name: input.name });
        progress(0.5, 'half');
        return { text: textFor(input), id: task.id, attempt, fencingToken, url: import.meta.url };
      },
    });`,
  'lib/text.ts': `
    export interface Name { readonly name: string }
    export const textFor = ({ name }: Name): string => 'Hello, ' + name;`,
  'plain.mjs': `export default async (task, { results }) => ({ ...task, results: await results() });`,
  'common.cjs': `
    const path = require('node:path');
    module.exports = async (task) => path.basename(__filename);`,
  'strict.js': `
    import { defineHandler } from 'skein';
    const parse = (payload) => {
      if (typeof payload?.url === 'string') return { url: new URL(payload.url) };
      throw Object.assign(new Error('no'), { issues: [{ path: ['url'], message: 'must be a URL' }] });
    };
    export default defineHandler({ type: 'fetch', parse, run: ({ url }) => url.host });`,
  'steer.ts': `
    import { Cancel, FatalError, Snooze, defineHandler } from 'skein';
    export default defineHandler<{ how: string }>({
      retry: { maxAttempts: 2, backoff: { type: 'fixed', baseMs: 10 } },
      run: ({ how }, { attempt }) => {
        if (how === 'cancel') throw new Cancel('not needed');
        if (how === 'fatal') throw new FatalError('no_use', 'never');
        if (how === 'snooze') throw new Snooze(3_600_000);
        throw new Error('attempt ' + String(attempt));
      },
    });`,
  'own.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler({ isolation: 'process', run: () => process.pid });`,
  'where.ts': `export default () => process.pid;`,
  'slow.ts': `
    import { setTimeout as sleep } from 'node:timers/promises';
    export default async (task: { payload: { ms: number } }, { signal }: { signal: AbortSignal }) => {
      await sleep(task.payload.ms, undefined, { signal });
      return 'slept';
    };`,
  'linger.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler<number>({
      run: async (ms, { sleep, attempt }) => {
        await sleep(ms);
        return { pid: process.pid, attempt };
      },
    });`,
  'spin.ts': `
    import { defineHandler } from 'skein';
    export default defineHandler({
      timeoutMs: 1000,
      run: () => { const end = Date.now() + 60_000; while (Date.now() < end); return 'spun'; },
    });`,
  'heap.ts': `export default () => { const all: number[] = []; for (;;) all.push(all.length); };`,
  'steps.ts': `export default () => { const all: object[] = []; for (;;) all.push({ n: all.length }); };`,
  'buffers.ts': `
    export default () => { const all: Buffer[] = []; for (;;) all.push(Buffer.alloc(4e6, 1)); };`,
  'exit.ts': `export default () => process.exit(3);`,
  'kill.ts': `export default () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => 0); };`,
  'late.ts': `
    export default () => new Promise(() => setTimeout(() => { throw new Error('too late'); }, 10));`,
  'required.cjs': `
    const { defineHandler, FatalError } = require('skein');
    module.exports = defineHandler({ run: () => { throw new FatalError('by_require', 'it is there'); } });`,
  'chatty.ts': `
    export default () => { console.log('says %d', 1, { two: [2] }); console.error(new Error('odd')); };`,
  'tardy.ts': `
    export default (_task: unknown, { signal }: { signal: AbortSignal }) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve('all the same')));`,
  'belated.ts': `
    import { writeFile } from 'node:fs/promises';
    export default (task: { payload: string }, { results }: { results: () => Promise<unknown> }) => {
      setTimeout(() => {
        results().catch((error: Error) => writeFile(task.payload, error.message));
      }, 50);
    };`,
  'odd-snooze.ts': `
    import { Snooze } from 'skein';
    export default () => { throw new Snooze('soon' as unknown as number); };`,
  'deaf.ts': `export default () => new Promise(() => setTimeout(() => undefined, 600_000));`,
};

interface Ended {
  readonly status: string;
  readonly result: unknown;
  readonly attempt: number;
  readonly error: { readonly code: string; readonly message: string } | null;
}

describe('handlers of users', function () {
  this.timeout(PATIENCE_MS);
  let folder: HandlersFolder;
  let cluster: TestCluster;
  let client: SkeinClient;
  let last = 0;

  before(async () => {
    folder = await handlersFolder(MODULES);
    cluster = await startCluster({
      ...{ nodes: 2, slots: 4 },
      extraFlags: ['--handlers', folder.path, '--handler-memory-mb', '96', '--log-level', 'debug'],
    });
    client = clientOf(cluster);
  });
  after(async () => {
    await cluster.stop();
    await folder.remove();
  });

  const submit = async (type: string, fields: Readonly<Record<string, unknown>> = {}) => {
    last += 1;
    const id = `${type}-${String(last)}`;
    await client.submitTask({ id, type, ...fields });
    return id;
  };
  const ended = (id: string): Promise<Ended> =>
    until(async () => {
      const task = (await client.getTask(id)) as unknown as Ended;
      return ['QUEUED', 'RUNNING'].includes(task.status) ? undefined : task;
    }, `the end of ${id}`);
  const attempts = async (id: string): Promise<readonly { readonly outcome: string }[]> => {
    const answer = await fetch(`${cluster.nodes[0]?.url ?? ''}/tasks/${id}/attempts`);
    return (await answer.json()) as { outcome: string }[];
  };
  const run = async (type: string, fields: Readonly<Record<string, unknown>> = {}) =>
    ended(await submit(type, fields));

  // Seen to fail with a module of ours that `require` was given by its URL.
  it('may be CommonJS that requires what it needs of Skein', async () => {
    const { status, error } = await run('required');
    expect([status, error?.code]).to.deep.equal(['FAILED', 'by_require']);
  });

  // Seen to fail with a console that writes nowhere.
  it('write to the log of their task by the console', async () => {
    const id = await submit('chatty');
    await ended(id);
    const lines = await until(async () => {
      const found: { readonly level: string; readonly message: string }[] = [];
      for await (const { level, message } of client.logs(id)) found.push({ level, message });
      return found.length >= 2 ? found : undefined;
    }, 'what it has said');
    expect(lines[0]).to.deep.equal({ level: 'info', message: 'says 1 { two: [ 2 ] }' });
    expect(lines[1]?.level).to.equal('error');
    expect(lines[1]?.message).to.match(/^Error: odd/);
  });

  // Seen to fail where an answer within the grace was taken.
  it('fail by their time limit also where they answer to its signal', async () => {
    const { status, error } = await run('tardy', { timeout_ms: 100, max_attempts: 1 });
    expect([status, error?.code]).to.deep.equal(['FAILED', 'timeout']);
  });

  // Seen to fail where nobody answered.
  it('are told when they ask after their end', async () => {
    const file = path.join(folder.path, '_belated.txt');
    expect((await run('belated', { payload: file })).status).to.equal('COMPLETED');
    const said = await until(() => readFile(file, 'utf8').catch(() => undefined), 'the refusal');
    expect(said).to.match(/has ended/);
  });

  it('fail by a time to snooze that is none', async () => {
    const { status, error } = await run('odd-snooze', { max_attempts: 1 });
    expect([status, error?.message]).to.deep.equal([
      ...['FAILED', 'Snooze: soon is no number of milliseconds, 0 or more'],
    ]);
  });

  // Seen to fail without the alias of `skein`, and without the places of the modules.
  it('run from TypeScript, with helpers, their own place, and what they have at hand', async () => {
    const id = await submit('greet', { payload: { name: 'Ada' } });
    const { status, result } = await ended(id);
    expect(status).to.equal('COMPLETED');
    const url = `file://${folder.path}/greet.ts`;
    expect(result).to.deep.equal({ text: 'Hello, Ada', id, attempt: 1, fencingToken: 1, url });
  });

  it('are plain functions too, with the results of the dependencies, and CommonJS', async () => {
    const parent = await submit('common');
    expect((await ended(parent)).result).to.equal('common.cjs');
    const id = await submit('plain', { dependencies: [parent], payload: [1] });
    expect((await ended(id)).result).to.deep.equal({
      ...{ id, type: 'plain', payload: [1], durationMs: null },
      results: { [parent]: 'common.cjs' },
    });
  });

  // Seen to fail where a refused payload is tried again.
  it('fail at once by a payload that they do not take, which names the faults', async () => {
    expect((await run('fetch', { payload: { url: 'http://a.example/b' } })).result).to.equal(
      'a.example',
    );
    const { status, error, attempt } = await run('fetch', { payload: { url: 7 }, max_attempts: 5 });
    expect({ status, attempt }).to.deep.equal({ status: 'FAILED', attempt: 1 });
    expect(error).to.deep.equal({
      ...{ code: 'payload_invalid', retryable: false },
      message: 'the payload is refused: #/url: must be a URL',
    });
  });

  it('steer their tasks, and are tried as often as they say', async () => {
    const payload = (how: string) => ({ payload: { how } });
    expect((await run('steer', payload('cancel'))).status).to.equal('CANCELLED');
    expect((await run('steer', payload('fatal'))).error).to.include({ code: 'no_use' });
    expect((await run('steer', payload('throw'))).error).to.include({ message: 'attempt 2' });
    const snoozed = await submit('steer', payload('snooze'));
    const released = await until(async () => {
      const [first] = await attempts(snoozed);
      return first?.outcome === 'running' ? undefined : first?.outcome;
    }, 'the snooze');
    expect(released).to.equal('released');
    expect(await client.getTask(snoozed)).to.include({ status: 'QUEUED', attempt: 0 });
  });

  // Seen to fail where the type of a process runs in a thread.
  it('run in threads of one process, or each in its own', async () => {
    const pids = cluster.nodes.map(({ pid }) => pid);
    const inThreads = await Promise.all(Array.from({ length: 8 }, () => run('where')));
    const threads = new Set(inThreads.map(({ result }) => result));
    expect(threads.size).to.be.within(1, 2);
    expect([...threads].filter((pid) => pids.includes(pid as number))).to.deep.equal([]);
    const alone = await Promise.all([run('own'), run('own'), run('own')]);
    expect(new Set(alone.map(({ result }) => result)).size).to.equal(3);
  });

  for (const [type, code, message] of [
    ['spin', 'timeout', /longer than its timeout/],
    ['deaf', 'timeout', /longer than its timeout/],
    ['exit', 'process_died', /exit code 3/],
    ['late', 'handler_error', /too late/],
    ['heap', 'process_died', /process of the task/],
    ['steps', 'process_died', /process of the task/],
    ['buffers', 'process_died', /more than \d+ MiB of memory/],
    ['kill', 'process_died', /by SIGKILL/],
  ] as const) {
    // Seen to fail with threads in the process of the node, which `heap` and `kill` end, and where what
    // died with a thread or process of others is charged.
    it(`are alone to blame: one that does "${type}" fails, its neighbours finish`, async () => {
      const before = await client.cluster();
      const neighbours = await Promise.all(
        Array.from({ length: 6 }, () => submit('slow', { payload: { ms: 1500 } })),
      );
      const fields = type === 'deaf' ? { timeout_ms: 500 } : {};
      const culprit = await run(type, { max_attempts: 1, ...fields });
      expect(culprit).to.include({ status: 'FAILED', attempt: 1 });
      expect(culprit.error?.code).to.equal(code);
      expect(culprit.error?.message).to.match(message);
      for (const id of neighbours) {
        expect(await ended(id)).to.include({ status: 'COMPLETED', result: 'slept', attempt: 1 });
        expect(await attempts(id)).to.have.length(1);
      }
      expect((await run('greet', { payload: { name: 'Bo' } })).status).to.equal('COMPLETED');
      const after = await client.cluster();
      expect(after.term).to.equal(before.term);
      expect(after.nodes.map(({ pid }) => pid)).to.have.members(before.nodes.map(({ pid }) => pid));
      expect(await reclaims()).to.equal(0);
    });
  }

  // Seen to fail where one lane alone takes what was sent ahead.
  it('that are quick do not wait for one of them that is not', async () => {
    const quick = (name: string, count: number) =>
      Array.from({ length: count }, (_, at) => ({
        ...{ id: `${name}-${String(at)}`, type: 'linger', payload: 0 },
      }));
    const untilAllEnd = (ids: readonly { readonly id: string }[]): Promise<readonly Ended[]> =>
      Promise.all(ids.map(({ id }) => ended(id)));
    const known = quick('known', 200);
    await client.submitBatch(known);
    await untilAllEnd(known);
    const slow = { id: 'slow-one', type: 'linger', payload: 20_000 };
    const others = quick('others', 300);
    await client.submitBatch([slow, ...others]);
    for (const one of await untilAllEnd(others)) {
      expect(one).to.include({ status: 'COMPLETED', attempt: 1 });
    }
    expect(await client.getTask(slow.id)).to.include({ status: 'RUNNING', attempt: 1 });
    await client.cancelTask(slow.id);
    expect(await ended(slow.id)).to.include({ status: 'CANCELLED' });
  });

  it('are never simulated, and are advertised by their nodes', async () => {
    const { nodes } = await client.cluster();
    for (const { types } of nodes) expect(types).to.include.members(['greet', 'fetch', 'noop']);
    const handled = await withDatabase(cluster, async (database) => {
      const { rows } = await database.query<{ handled: boolean }>(
        `select handled from skein.type where name in ('greet', 'fetch')`,
      );
      return rows;
    });
    expect(handled).to.deep.equal([{ handled: true }, { handled: true }]);
  });

  // Seen to fail without the dead-man thread in the process of the threads, and where a task that lost a
  // lease goes to a thread.
  it('end with their node, and run again elsewhere, each in a process of its own', async () => {
    const hosts = new Set<number>();
    while (hosts.size < 2) {
      const all = await Promise.all(
        Array.from({ length: 8 }, () => run('linger', { payload: 100 })),
      );
      for (const { result } of all) hosts.add((result as { pid: number }).pid);
    }
    const ids = await Promise.all(
      Array.from({ length: 8 }, () => submit('linger', { payload: 3000 })),
    );
    const victim = await until(async () => {
      const tasks = await Promise.all(ids.map((id) => client.getTask(id)));
      const begun = tasks.every(({ status }) => status === 'RUNNING');
      return begun ? tasks[0]?.node : undefined;
    }, 'all of them to run');
    await cluster.kill(victim ?? '', 'SIGKILL');
    client = clientOf(cluster);
    const results = await Promise.all(ids.map((id) => ended(id)));
    for (const one of results) expect(one).to.include({ status: 'COMPLETED', attempt: 1 });
    const pids = results.map(({ result }) => (result as { pid: number }).pid);
    const alone = pids.filter((pid) => !hosts.has(pid));
    expect(new Set(alone).size).to.equal(alone.length);
    expect(alone.length).to.be.within(1, 7);
    await until(() => {
      const living = [...hosts].filter((pid) => isAlive(pid));
      return Promise.resolve(living.length === 1 ? true : undefined);
    }, 'the end of the threads of the node');
  });

  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  /** Leases that were lost: a node missed its heartbeats. */
  const reclaims = (): Promise<number> =>
    withDatabase(cluster, async (database) => {
      const { rows } = await database.query<{ count: number }>(
        `select count(*)::int as count from skein.attempt where outcome = 'lost'`,
      );
      return rows[0]?.count ?? 0;
    });
});
