import { expect } from 'chai';
import type { Row, Statement } from '../../node/store/pipeline.ts';
import { GraphReader } from '../../node/store/graph-reader.ts';
import { EndCode } from '../../node/core/task.ts';
import { Bench, rowsOf } from '../scheduler/setup.ts';
import { completed, settled, Tables } from './setup.ts';

/**
 * Rule 6: a parent in neither `live` nor `not_completed`, read in one snapshot, is COMPLETED. During a
 * paged load, absent from memory means not loaded yet; a new leader leases from the first page.
 * Seen to fail: with the two tables of resolve read by two statements, without
 * `state.awaited.add(seq)`, and with `unended` not raised for an unknown dependency.
 */
describe('rule 6: absent means completed, in one snapshot alone', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(async () => {
    await tables.reset();
    await tables.add({ seq: 1 }, { seq: 2 }, { seq: 3, deps: [1, 2] });
    await tables.lease(1, 2);
  });
  after(() => tables.close());

  it('sees a parent live until its failure is committed, and failed from then on', async () => {
    const [worker, reader] = await tables.pair();
    await worker.leases(1).settleMany(settled(2, 1, 1));
    await worker.leases(1).completeMany(completed(1, 2));
    const codeOf = async (seq: number): Promise<unknown> =>
      (await reader.reader.resolve([seq])).codes[0];
    expect([await codeOf(1), await codeOf(2)]).to.deep.equal([0, 0]);
    await worker.commit();
    expect([await codeOf(1), await codeOf(2)]).to.deep.equal([EndCode.FAILED, EndCode.COMPLETED]);
  });

  it('sees a revived parent as failed until its revival is committed, and never as neither', async () => {
    await tables.sql.leases(1).settleMany(settled(2, 1, 1));
    const [leader, reader] = await tables.pair();
    await leader.writer().reviveMany([1]);
    expect((await reader.reader.resolve([1])).codes).to.deep.equal([EndCode.FAILED]);
    expect((await reader.reader.reread([1])).endedCodes).to.deep.equal([EndCode.FAILED]);
    await leader.commit();
    expect((await reader.reader.resolve([1])).codes).to.deep.equal([0]);
    expect((await reader.reader.reread([1])).rows.seqs).to.deep.equal([1]);
  });

  // Seen to fail without each of the statement's conditions.
  it('looks ahead for what seems ready: free, due, of a type that runs, with no live parent', async () => {
    await tables.add({ seq: 4 }, { seq: 5 }, { seq: 6 }, { seq: 7 }, { seq: 8 });
    await tables.add({ seq: 9, deps: [99] }, { seq: 10 }, { seq: 11 });
    await tables.sql.rows(
      `update skein.live set run_at = clock_timestamp() + interval '1 h' where seq = 5`,
    );
    await tables.sql.rows('update skein.live set cancel = true where seq = 6');
    await tables.sql.rows(`insert into skein.type (name) values ('unknown'), ('simulated')`);
    await tables.sql.rows('update skein.live set type_id = 2 where seq = 7');
    await tables.sql.rows('update skein.live set type_id = 3, has_duration = true where seq = 8');
    const { reader } = tables.sql;
    const found = await reader.liveReadyAfter(0, 10, 10);
    expect([found.rows.seqs, found.lastSeq]).to.deep.equal([[4, 9, 10], 10]);
    await tables.sql.rows('update skein.node set simulates = true');
    expect((await reader.liveReadyAfter(6, 2, 10)).rows.seqs).to.deep.equal([8]);
    expect((await reader.liveReadyAfter(9, 10, 1)).rows.seqs).to.have.length(1);
    expect((await reader.liveReadyAfter(11, 10, 10)).lastSeq).to.equal(0);
  });

  it('asks by one statement, because two have two snapshots', async () => {
    const asked: string[] = [];
    const counting = new GraphReader({
      query: (statement: Statement, values: readonly unknown[]): Promise<readonly Row[]> => {
        asked.push(statement.name);
        return tables.sql.query(statement, values);
      },
    });
    await counting.resolve([1, 2]);
    await counting.reread([1, 2]);
    expect(asked).to.deep.equal(['graph-reader.resolve', 'graph-reader.reread']);
  });
});

describe('rule 6: absent from memory means not loaded yet', () => {
  const begin = (): Bench => {
    const bench = new Bench().join(7, 9);
    return bench.step({ kind: 'load-started', load: -1, isPaged: true });
  };

  it('leases from the first page what has no dependencies, and nothing else', () => {
    const bench = begin().load({ seq: 1 }, { seq: 2, deps: [9] });
    expect(bench.leased).to.deep.equal([1]);
    expect(bench.effect('resolve-dependencies')?.seqs).to.deep.equal([9]);
    bench.grant();
    // Live: it comes with a later page, and is not asked for by itself.
    bench.step({ kind: 'dependencies-resolved', seqs: [9], codes: [0] });
    expect(bench.effects).to.deep.equal([]);
    expect(bench.load({ seq: 9 }).leased).to.deep.equal([9]);
    expect(bench.step({ kind: 'load-ended', load: -1, isPaged: true }).leased).to.deep.equal([]);
  });

  it('leases at once what the statement of its page found to be ready', () => {
    const bench = begin().load({ seq: 2, deps: [9] });
    const code = EndCode.COMPLETED;
    bench.step({ kind: 'dependencies-resolved', seqs: [9], codes: [code] });
    expect(bench.leased).to.deep.equal([2]);
  });

  it('asks again when the pages have come and a live dependency was in none of them', () => {
    const bench = begin().load({ seq: 2, deps: [9] });
    bench.step({ kind: 'dependencies-resolved', seqs: [9], codes: [0] });
    bench.step({ kind: 'load-ended', load: -1, isPaged: true });
    expect(bench.leased).to.deep.equal([]);
    expect(bench.effect('resolve-dependencies')?.seqs).to.deep.equal([9]);
    bench.step({ kind: 'dependencies-resolved', seqs: [9], codes: [EndCode.COMPLETED] });
    expect(bench.leased).to.deep.equal([2]);
  });

  it('loads a live dependency by itself when no load is under way', () => {
    const bench = new Bench().join(7, 9).load({ seq: 2, deps: [9] });
    bench.step({ kind: 'dependencies-resolved', seqs: [9], codes: [0] });
    expect(bench.effect('load-tasks')?.seqs).to.deep.equal([9]);
    bench.step({ kind: 'tasks-loaded', rows: rowsOf({ seq: 9, nodeId: 8, leaseSeq: 3 }) });
    expect(bench.leased).to.deep.equal([]);
    expect(bench.settle(8, 9, 3, EndCode.COMPLETED).leased).to.deep.equal([2]);
  });
});
