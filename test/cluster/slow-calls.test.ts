import { expect } from 'chai';
import type pg from 'pg';
import { startCluster, type TestCluster } from '../support/cluster.ts';
import { clientOf, PATIENCE_MS, until, withDatabase } from './setup.ts';

const CALLERS = 200;
/** All that the API of a node has for itself. */
const API_SESSIONS = 10;
const LEASE_MS = 5000;

// Goal: calls that hang in the database cannot keep the leader from its lock, its leases and its writes.
// Method: a table that only the API reads is locked, and 200 callers ask the leader for it without pause,
// for longer than a lease.
// Seen to fail with renewals that read the locked table too.
describe('a leader whose API is taken up by slow calls', function () {
  this.timeout(PATIENCE_MS);
  let cluster: TestCluster;

  before(async () => {
    cluster = await startCluster({
      ...{ nodes: 2, slots: 4 },
      extraFlags: ['--lease-ms', String(LEASE_MS)],
    });
  });
  after(async () => {
    await cluster.stop();
  });

  it('goes on leading: no election, no lease lost, and tasks complete', async () => {
    const { term, leader } = await cluster.view();
    const { url } = cluster.node(leader ?? '');
    const over = new AbortController();
    const statuses = new Set<number>();
    const call = async (): Promise<void> => {
      while (!over.signal.aborted) {
        const answer = await fetch(`${url}/workflows/none`);
        await answer.text();
        statuses.add(answer.status);
      }
    };
    await withDatabase(cluster, async (database) => {
      await database.query('begin');
      await database.query('lock table skein.workflow in access exclusive mode');
      const calls = Array.from({ length: CALLERS }, call);
      try {
        await withDatabase(cluster, (watch) => workGoesOn(watch, leader ?? ''));
      } finally {
        over.abort();
        await database.query('rollback');
        await Promise.all(calls);
      }
    });
    expect([...statuses].filter((status) => ![404, 429, 503].includes(status))).to.deep.equal([]);
    expect(statuses).to.include(503);
    expect(await cluster.view()).to.include({ term, leader });
  });

  async function workGoesOn(watch: pg.Client, leader: string): Promise<void> {
    const other = cluster.nodes.filter(({ name }) => name !== leader);
    const hung = `select from pg_stat_activity
      where application_name = $1 and wait_event_type = 'Lock' and datname = current_database()`;
    const areTaken = async (): Promise<true | undefined> => {
      const { rows } = await watch.query(hung, [`skein/api/${leader}`]);
      return rows.length === API_SESSIONS ? true : undefined;
    };
    await until(areTaken, 'all sessions of the API to hang');
    const { rows: since } = await watch.query<{ at: Date }>('select clock_timestamp() as at');
    const tasks = Array.from({ length: 40 }, (_, at) => ({
      ...{ id: `t${String(at)}`, type: 'sleep', duration_ms: 300 },
    }));
    await clientOf({ ...cluster, nodes: other }).submitBatch(tasks);
    await until(async () => {
      const { rows } = await watch.query<{ yes: boolean }>(
        `select (select count(*) = 40 from skein.task where status = 1) and
           (select bool_and(last_heartbeat_at > $1::timestamptz + $2 * interval '1 millisecond')
            from skein.node) as yes`,
        [since[0]?.at, LEASE_MS],
      );
      return rows[0]?.yes === true ? true : undefined;
    }, 'the tasks, and a renewal after more than a lease');
    await until(areTaken, 'the API to hang as before');
    const { rows } = await watch.query('select outcome from skein.attempt');
    expect(rows).to.deep.equal([]);
  }
});
