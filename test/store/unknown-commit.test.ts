import { expect } from 'chai';
import { systemClock, systemRng } from '../../node/base/clock.ts';
import { wasCommitted } from '../../node/store/commit-check.ts';
import { Database } from '../../node/store/database.ts';
import { LeaseStore } from '../../node/store/lease-store.ts';
import { migrate } from '../../node/store/migrate.ts';
import { Pipeline } from '../../node/store/pipeline.ts';
import { startReplicas } from '../support/replicas.ts';
import type { Replicas } from '../support/replicas.ts';

/**
 * Goal: what was looked up after a lost COMMIT and found done outlives a failover too. A primary shows
 * committed rows after a restart though no standby has confirmed them. Method: a synchronous standby
 * that has stopped to listen; the answer must wait for it, which pg_stat_activity shows.
 */
describe('an unknown commit on a primary with a synchronous standby', function () {
  this.timeout(120_000);
  const applicationName = 'skein/test/unknown-commit';
  let servers: Replicas;
  let database: Database;
  let pipeline: Pipeline;

  before(async () => {
    servers = await startReplicas((databaseUrl) => migrate({ databaseUrl }));
    await servers.makeSynchronous();
    const { url } = servers.primary;
    const clock = systemClock;
    database = new Database({ url, name: 'unknown-commit', clock, rng: systemRng });
    pipeline = new Pipeline({ url, applicationName, statementTimeoutMs: 30_000, clock });
    await database.query({
      text: `
        with kind as (insert into skein.type (name) values ('noop') returning type_id)
        insert into skein.task (seq, id, type_id, lease_seq, status, node_id, priority, max_attempts,
          trigger_rule, backoff_base_ms, backoff_max_ms)
        select 1, 'a', type_id, 1, 1, 7, 50, 1, 1, 1, 1 from kind`,
    });
  });

  after(async () => {
    servers.replication.resume();
    await Promise.all([database.stop(), pipeline.close()]);
    await servers.stop();
  });

  /** Resolves when a session of ours waits for the standby. */
  async function untilWaiting(): Promise<void> {
    const signal = AbortSignal.timeout(20_000);
    for (;;) {
      const rows = await servers.primary.ask(
        `select from pg_stat_activity
         where wait_event = 'SyncRep' and application_name like 'skein/%unknown-commit'`,
      );
      if (rows.length > 0) return;
      await systemClock.sleep(20, signal);
    }
  }

  it('of a submit is not called stored before the standby has confirmed it', async () => {
    servers.replication.pause();
    const answer = wasCommitted(database, systemClock, { seq: 1, ids: ['a'], xid: '3' });
    await untilWaiting();
    servers.replication.resume();
    expect(await answer).to.equal(true);
  });

  it('of an outcome is not called accepted before the standby has confirmed it', async () => {
    const store = new LeaseStore(7, pipeline, [pipeline]);
    servers.replication.pause();
    const answer = store.verifyMany([1], [1]);
    await untilWaiting();
    servers.replication.resume();
    expect((await answer).map(({ seq, settledAs }) => [seq, settledAs])).to.deep.equal([[1, 1]]);
  });
});
