import { expect } from 'chai';
import { Client } from 'pg';
import { createTestDatabase } from '../support/postgres.ts';
import type { TestDatabase } from '../support/postgres.ts';
import { lastSeq, prove } from './proof.ts';

/**
 * Goal: a broken run has no figure. Method: rows as a sound run leaves them, on a real PostgreSQL, then
 * one thing broken at a time.
 */
describe('the proof that ends a run', () => {
  let database: TestDatabase;
  let client: Client;
  const numbers = async (text: string, values: readonly unknown[] = []) => {
    const query = { text, values: [...values], rowMode: 'array' as const };
    const { rows } = await client.query<unknown[]>(query);
    return (rows[0] ?? []).map(Number);
  };

  beforeEach(async () => {
    database = await createTestDatabase();
    client = new Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query(SOUND);
  });

  afterEach(async () => {
    await client.end();
    await database.drop();
  });

  const faultOf = (count: number, waiting = 0): Promise<string> =>
    prove({ numbers }, 2, count, waiting).then(
      () => 'none',
      (thrown: unknown) => (thrown as Error).message,
    );

  it('lets a sound run pass, whatever was before it', async () => {
    expect(await lastSeq({ numbers })).to.equal(6);
    expect(await faultOf(4)).to.equal('none');
  });

  it('lets tasks wait that are meant to, and no more than these', async () => {
    await client.query(WAITING);
    expect(await faultOf(4, 1)).to.equal('none');
    expect(await faultOf(4)).to.equal('no figure: 1 not ended');
    expect(await faultOf(4, 2)).to.equal('no figure: -1 not ended');
  });

  const broken: readonly (readonly [what: string, change: string, fault: string])[] = [
    ['a task is missing', 'delete from skein.task where seq = 6', '3 tasks'],
    ['a task failed', 'update skein.task set status = 2 where seq = 6', '1 not completed'],
    ['a task has no end', 'update skein.task set status = null where seq = 6', '1 not completed'],
    [
      'an attempt was charged beside the one that was accepted',
      `insert into skein.attempt (seq, lease_seq, attempt, outcome) values (6, 1, 1, 'failed')`,
      '1 attempts charged',
    ],
    [
      'a task began before a dependency had ended',
      `update skein.task set started_at = now() - interval '65 s' where seq = 6`,
      '2 begun too early',
    ],
    [
      'a task with dependencies never began',
      'update skein.task set started_at = null where seq = 6',
      '2 begun too early',
    ],
  ];
  for (const [what, change, fault] of broken) {
    it(`has no figure where ${what}`, async () => {
      await client.query(change);
      expect(await faultOf(4)).to.equal(`no figure: ${fault}`);
    });
  }
});

/** Two tasks of an earlier run, one of them failed; then three, and one that waits for two of them. */
const SOUND = `
insert into skein.task (
  seq, id, type_id, priority, max_attempts, trigger_rule, backoff_base_ms, backoff_max_ms,
  dependencies, status, started_at, finished_at)
select seq, 't' || seq, 1, 50, 3, 1, 1000, 1000,
  case when seq = 6 then array['t3', 't4'] else '{}' end,
  case when seq = 1 then 2 else 1 end,
  now() - interval '70 s' + seq * interval '2 s',
  now() - interval '69 s' + seq * interval '2 s'
from generate_series(1, 6) as seq`;
const WAITING = `
insert into skein.live (seq, type_id, expected_ms, priority, trigger_rule, has_duration)
values (1, 1, 0, 50, 1, false)`;
