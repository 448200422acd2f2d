import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import type { SkeinClient } from '../../../node/client/client.ts';
import { spreadOf } from '../../bench/report.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from '../../cluster/setup.ts';
import { startCluster, type TestCluster } from '../../support/cluster.ts';

const TASKS = 1000;
const SLOTS = 400;
const CALLERS = 12;

// Goal: whoever runs is told to stop at once, however many those are and however they are named. Method:
// a thousand handlers on three nodes that run until they are told; each writes down when that was, by the
// clock that the processes of a machine share. The times are printed; that all have ended is expected.
describe('a thousand running tasks that are cancelled', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'skein-heeded-'));
    cluster = await startCluster({
      slots: SLOTS,
      main: new URL('../../cluster/heeding-node.ts', import.meta.url).pathname,
      env: { SKEIN_TEST_HEEDED: folder },
    });
  });

  after(async () => {
    await cluster.stop();
    await rm(folder, { recursive: true });
  });

  const idsOf = (name: string): readonly string[] =>
    Array.from({ length: TASKS }, (_, at) => `${name}/t${String(at)}`);

  const countsOf = (name: string): Promise<Readonly<Record<string, number>>> =>
    withDatabase(cluster, async (sql) => {
      const { rows } = await sql.query<{ how: string; count: number }>(
        `select case when l.seq is null then 'ended ' || t.status when l.started_at is null
           then 'leased' else 'running' end as how, count(*)::int as count
         from skein.task t left join skein.live l on l.seq = t.seq
         where t.id like $1 group by 1`,
        [`${name}/%`],
      );
      return Object.fromEntries(rows.map(({ how, count }) => [how, count]));
    });

  /** When each was told to stop, in nanoseconds of the machine's clock. */
  const heededAt = async (name: string): Promise<ReadonlyMap<string, bigint>> => {
    const found = new Map<string, bigint>();
    for (const file of await readdir(folder)) {
      for (const line of (await readFile(path.join(folder, file), 'utf8')).split('\n')) {
        const [id = '', atNs = '0'] = line.split(' ');
        if (id.startsWith(`${name}/`)) found.set(id, BigInt(atNs));
      }
    }
    return found;
  };

  const measure = async (
    name: string,
    cancel: (client: SkeinClient, calledNs: Map<string, bigint>) => Promise<void>,
  ): Promise<void> => {
    const client = clientOf(cluster);
    const tasks = idsOf(name).map((id) => ({ id: id.slice(name.length + 1), type: 'heeding' }));
    await client.submitWorkflow({ id: name, tasks });
    const holds = async (how: string): Promise<true | undefined> =>
      (await countsOf(name))[how] === TASKS ? true : undefined;
    await until(() => holds('running'), `a thousand that run in ${name}`);
    const calledNs = new Map<string, bigint>();
    await cancel(client, calledNs);
    await until(() => holds('ended 3'), `a thousand that are CANCELLED in ${name}`);
    const heeded = await heededAt(name);
    expect(heeded.size, 'all handlers were told').to.equal(TASKS);
    const latencies = idsOf(name).map(
      (id) => Number((heeded.get(id) as bigint) - (calledNs.get(id) as bigint)) / 1e6,
    );
    const { median, min, max } = spreadOf(latencies);
    console.log(
      `      from the call to the signal: median ${median.toFixed(1)} ms, ` +
        `${min.toFixed(1)} to ${max.toFixed(1)} ms`,
    );
  };

  const atOnce = (name: string, calledNs: Map<string, bigint>): void => {
    const now = process.hrtime.bigint();
    for (const id of idsOf(name)) calledNs.set(id, now);
  };

  it('as one workflow', () =>
    measure('whole', async (client, calledNs) => {
      atOnce('whole', calledNs);
      await client.cancelWorkflow('whole');
    }));

  it('by a filter', () =>
    measure('filtered', async (client, calledNs) => {
      atOnce('filtered', calledNs);
      const { count } = await client.cancelTasks({ type: 'heeding', status: 'RUNNING' });
      expect(count).to.equal(TASKS);
    }));

  it('one by one', () =>
    measure('single', async (client, calledNs) => {
      const left = [...idsOf('single')];
      const call = async (): Promise<void> => {
        for (let id = left.pop(); id !== undefined; id = left.pop()) {
          calledNs.set(id, process.hrtime.bigint());
          await client.cancelTask(id);
        }
      };
      await Promise.all(Array.from({ length: CALLERS }, call));
    }));
});
