import { Client } from 'pg';
import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { FatalError } from '../../node/core/handler.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { noop } from '../../node/handlers/noop.ts';
import { Outage } from '../../node/worker/outage.ts';
import { Settler, type Finished } from '../../node/worker/settler.ts';
import { Held, NO_STORE } from './fakes.ts';
import { Bench, type BenchOptions, type TaskRow } from './setup.ts';

/**
 * Goal: exactly one outcome of a task is accepted, whatever the database, the connection or another
 * leader does meanwhile, and one bad outcome harms no other.
 * Method: a proxy that loses answers and connections, and sessions interleaved by hand.
 * Seen to fail: each test names the change of the code that it caught.
 */
/** What a node checks itself does not come so far: a rule of the database's own stands for what it knows. */
const REFUSE_A_RESULT = `
  create function skein.refuse() returns trigger language plpgsql as $$
  begin
    if new.result::text = '"unstorable"' then raise exception 'refused' using errcode = '22023'; end if;
    return new;
  end $$;
  create trigger refuse before update on skein.task for each row execute function skein.refuse()`;

describe('a settle', () => {
  let bench: Bench;
  const open = async (options: BenchOptions = {}): Promise<Bench> => {
    bench = await Bench.open(options);
    return bench;
  };
  afterEach(() => bench.close());

  /** Runs what must stay under way until the test ends it. */
  const begin = async (...types: readonly string[]): Promise<{ held: Held; seqs: number[] }> => {
    const held = new Held();
    await open({ handlers: [held, noop], rng: { random: () => 0.02 } });
    const seqs = await bench.submit(...types.map((type) => ({ type })));
    await bench.lease(seqs);
    await held.hasBegun(types.length);
    return { held, seqs };
  };

  // Seen to fail with verifyMany that answers nothing: the outcome was counted as stale.
  it('whose answer is lost is found to be accepted, once', async () => {
    const { held, seqs } = await begin('held', 'held', 'held');
    const lost = bench.proxy.dropReplies('lease-store.completeMany');
    held.begun[0]?.end(1);
    held.begun[1]?.end(2);
    await lost;
    bench.proxy.cutAll();
    await bench.settled(seqs[0] as number, seqs[1] as number);
    const lostToo = bench.proxy.dropReplies('lease-store.settleMany');
    held.begun[2]?.fail(new Error('no'));
    await lostToo;
    bench.proxy.cutAll();
    await bench.settled(...seqs);
    expect(bench.told).to.have.length(3);
    expect(bench.told[2]).to.include({ settledAs: SettledAs.RETRY, nextLeaseSeq: 2, attempt: 1 });
    expect(await bench.task(seqs[0] as number)).to.include({ status: 1, result: '1' });
    expect(await bench.live(seqs[2] as number)).to.include({ attempt: 1, lease_seq: 2 });
    expect(bench.stale).to.equal(0);
    expect(bench.finished).to.have.length(2);
  });

  // Seen to fail with `stopping.abort()` at the third failure, as a settler that gives up.
  it('is kept through an outage, with the times of the work itself', async () => {
    const { held, seqs } = await begin('held');
    const [seq = 0] = seqs;
    const port = bench.proxy.port;
    bench.proxy.pause();
    bench.proxy.cutAll();
    held.begun[0]?.end('kept');
    const endedMs = await bench.now();
    await bench.until(() => bench.slotsUsed === 0);
    expect(bench.worker.inventory.seqs).to.deep.equal([seq]);
    await bench.until(() => bench.lines.some(({ fields }) => Number(fields['failures']) >= 1));
    expect(bench.worker.outageSinceMs).to.be.a('number');
    const outageEndedMs = await bench.now();
    expect(bench.proxy.port).to.equal(port);
    bench.proxy.resume();
    await bench.settled(seq);
    expect(bench.worker.outageSinceMs).to.equal(undefined);
    const task = await bench.task(seq);
    expect(task).to.include({ status: 1, result: '"kept"' });
    expect(outageEndedMs).to.be.greaterThan(endedMs);
    expect(task.started).to.be.at.most(task.finished as number);
    expect(task.finished).to.be.lessThan(outageEndedMs);
    expect(bench.worker.inventory.seqs).to.deep.equal([]);
  });

  // Seen to fail without the guard of lease_seq in completeMany, and of node_id in settleMany.
  it('under a lease that is over is dropped and counted', async () => {
    const { held, seqs } = await begin('held', 'held', 'held');
    const [first = 0, second = 0, third = 0] = seqs;
    // This very node has it again, under another number.
    await bench.admin.query('update skein.live set lease_seq = 2 where seq = $1', [first]);
    await bench.supersede(second);
    await bench.admin.query('update skein.live set node_id = node_id + 1 where seq = $1', [third]);
    held.begun[0]?.end('late');
    held.begun[1]?.fail(new Error('late'));
    held.begun[2]?.end('another node has it');
    await bench.until(() => bench.stale === 3);
    for (const seq of seqs)
      expect(await bench.task(seq)).to.include({ status: null, result: null });
    expect(await bench.attempts(second)).to.deep.equal([]);
    expect(bench.told).to.deep.equal([]);
    expect(bench.finished).to.deep.equal([]);
    expect(bench.worker.inventory.seqs).to.deep.equal([]);
  });

  // Seen to fail without MAY_BECOME: the success was told as a release.
  it('takes no release by the leader for its own', async () => {
    const { held, seqs } = await begin('held');
    const [seq = 0] = seqs;
    await bench.writer.takeBackMany(bench.nodeId, [seq], [1], 'released');
    held.begun[0]?.end('late');
    await bench.until(() => bench.stale === 1);
    expect(bench.told).to.deep.equal([]);
    expect(await bench.live(seq)).to.include({ lease_seq: 2, attempt: 0 });
  });

  // Seen to fail with settleApart that fails all of a batch, and without it: nothing was settled.
  it('that the database refuses fails that task, and no other of its batch', async () => {
    const { held, seqs } = await begin('held', 'held', 'held', 'held');
    await bench.admin.query(REFUSE_A_RESULT);
    for (const [at, { end, fail }] of held.begun.entries()) {
      if (at === 1) end('unstorable');
      else if (at === 3) fail(new Error('as it should'));
      else end(at);
    }
    await bench.settled(...seqs);
    const tasks: TaskRow[] = [];
    for (const seq of seqs) tasks.push(await bench.task(seq));
    expect(tasks.map(({ status }) => status)).to.deep.equal([1, 2, 1, null]);
    expect(tasks[1]?.error).to.deep.equal({
      code: 'outcome_not_storable',
      message: 'the database refuses to store the result or error of this task',
      retryable: false,
    });
    expect(bench.told.find(({ seq }) => seq === seqs[1])).to.include({
      settledAs: SettledAs.FAILED,
    });
  });

  // Seen to fail with settleApart that settles the stand-in again and again: the others waited.
  it('that the database refuses in every form is tried apart until it works', async () => {
    const { held, seqs } = await begin('held', 'held');
    const [bad = 0, good = 0] = seqs;
    await bench.admin.query('insert into skein.not_completed (seq, status) values ($1, 2)', [bad]);
    held.begun[0]?.fail(new FatalError('no_use', 'never'));
    held.begun[1]?.end(null);
    await bench.settled(good);
    const complaint = 'An outcome still cannot be stored.';
    await bench.until(() => bench.lines.some(({ message }) => message === complaint));
    expect(bench.worker.inventory.seqs).to.deep.equal([bad]);
    await bench.admin.query('delete from skein.not_completed');
    await bench.settled(bad);
    expect((await bench.task(bad)).error).to.include({ code: 'outcome_not_storable' });
  });

  // Seen to fail with `isRunning = false` in a `finally` of the promise, a microtask too late.
  it('starts for an outcome that comes at whatever moment of the one before', async () => {
    await open();
    for (let ticks = 0; ticks < 40; ticks++) {
      const settled: number[] = [];
      const settler = new Settler({
        outage: new Outage(),
        ...bench.parts,
        settleLanes: 1,
        store: { ...NO_STORE, completeMany: ({ seqs }) => Promise.resolve(seqs) },
        onSettled: (accepted) => settled.push(...accepted.map(({ seq }) => seq)),
      });
      settler.add(finished(1));
      for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      settler.add(finished(2));
      await systemClock.sleep(0);
      expect(settled, `${String(ticks)} microtasks later`).to.deep.equal([1, 2]);
    }
  });

  // Seen to fail with a batch that takes what there is: the superseded lease counted as accepted.
  it('keeps two leases of one task apart', async () => {
    const { held, seqs } = await begin('held');
    const [seq = 0] = seqs;
    await bench.supersede(seq);
    await bench.lease([seq]);
    await held.hasBegun(2);
    const settler = new Settler({
      outage: new Outage(),
      ...bench.parts,
      settleLanes: 1,
      store: bench.leases,
      onSettled: (accepted, stale) => {
        outcomes.push(...accepted.map(({ leaseSeq }) => `accepted ${String(leaseSeq)}`));
        outcomes.push(...stale.map(({ leaseSeq }) => `stale ${String(leaseSeq)}`));
        bench.wake();
      },
    });
    const outcomes: string[] = [];
    settler.add(finished(seq, 1));
    settler.add(finished(seq, 3));
    settler.add(finished(seq + 1000, 9));
    await bench.until(() => outcomes.length === 3);
    expect(outcomes).to.have.members(['stale 1', 'accepted 3', 'stale 9']);
  });

  // Seen to fail without BATCH_CHARACTERS_MAX: one statement carried all.
  it('carries some megabytes at once, and no more', async () => {
    await open();
    const sizes: number[] = [];
    const result = JSON.stringify('x'.repeat(250_000));
    const settler = new Settler({
      outage: new Outage(),
      ...bench.parts,
      settleLanes: 1,
      store: {
        ...NO_STORE,
        completeMany: ({ seqs, results }) => {
          sizes.push(results.reduce((sum, { length }) => sum + length, 0));
          return Promise.resolve(seqs);
        },
      },
      onSettled: () => undefined,
    });
    for (let seq = 1; seq <= 100; seq++)
      settler.add({ ...finished(seq), outcome: { kind: 'completed', result } });
    await systemClock.sleep(0);
    expect(sizes.reduce((sum, size) => sum + size, 0)).to.equal(100 * result.length);
    expect(Math.max(...sizes)).to.be.below(4.5 * 1024 * 1024);
  });

  // Seen to fail without greatest() in completeMany and settleMany (rule 19).
  it('lets no task start before its lease, however fast the clock of its node runs', async () => {
    const { held, seqs } = await begin('held', 'held', 'held');
    const [first = 0, second = 0, third = 0] = seqs;
    const { rows } = await bench.admin.query<{ leased: number }>(
      `select min(extract(epoch from leased_at) * 1000)::float8 as leased from skein.live`,
    );
    const leased = rows[0]?.leased as number;
    await bench.leases.markStarted([second], [1], [3_600_000]);
    expect((await bench.live(second))?.started_at?.getTime()).to.be.at.least(Math.floor(leased));
    await bench.leases.completeMany({
      seqs: [first],
      leaseSeqs: [1],
      startedAgoMs: [3_600_000],
      finishedAgoMs: [1_800_000],
      results: ['null'],
    });
    await bench.leases.settleMany({
      seqs: [second, third],
      leaseSeqs: [1, 1],
      settledAs: [SettledAs.FAILED, SettledAs.FAILED],
      delayMs: [0, 0],
      startedAgoMs: [3_600_000, 3_600_000],
      finishedAgoMs: [1_800_000, 1_800_000],
      errors: [null, null],
    });
    for (const seq of seqs) {
      const { started, finished: ended } = await bench.task(seq);
      expect(started).to.be.at.least(leased);
      expect(ended).to.be.at.least(started as number);
    }
    held.begun.forEach(({ end }) => end(null));
  });

  it('never lets a child start before the end of its parent', async () => {
    await open();
    const [parent = 0, child = 0] = await bench.submit({}, {});
    await bench.lease([parent]);
    await bench.settled(parent);
    await bench.lease([child]);
    await bench.settled(child);
    const ended = (await bench.task(parent)).finished as number;
    expect((await bench.task(child)).started).to.be.at.least(ended);
  });

  // Seen to fail without `order by` in completeMany: the two waited for each other (rule 11).
  for (const statement of ['completeMany', 'settleMany', 'markStarted'] as const) {
    it(`locks by number, so that ${statement} and the leader never wait in a circle`, async () => {
      await open({ slots: 100 });
      const seqs = (await bench.submit(...Array.from({ length: 20 }, () => ({})))).reverse();
      const leaseSeqs = await bench.lease(seqs, false);
      const [last = 0] = seqs;
      const first = seqs.at(-1) as number;
      const leader = new Client({ connectionString: bench.url });
      await leader.connect();
      await leader.query('begin');
      const lock = 'select from skein.live where seq = $1 for update';
      await leader.query(lock, [first]);
      const agoMs = seqs.map(() => 0);
      const columns = { seqs, leaseSeqs, startedAgoMs: agoMs, finishedAgoMs: agoMs };
      const settling = {
        completeMany: () => bench.leases.completeMany({ ...columns, results: seqs.map(() => '1') }),
        settleMany: () =>
          bench.leases.settleMany({
            ...columns,
            settledAs: seqs.map(() => SettledAs.RETRY),
            delayMs: agoMs,
            errors: seqs.map(() => null),
          }),
        markStarted: () => bench.leases.markStarted(seqs, leaseSeqs, agoMs),
      }[statement]();
      await bench.shown(
        async () => {
          const { rows } = await bench.admin.query(
            `select from pg_stat_activity where datname = current_database()
               and wait_event_type = 'Lock'`,
          );
          return rows.length;
        },
        (waiting) => waiting === 1,
      );
      await leader.query("set lock_timeout = '400ms'");
      await leader.query(lock, [last]);
      await leader.query('rollback');
      await leader.end();
      await settling;
    });
  }
});

function finished(seq: number, leaseSeq = 1): Finished {
  const outcome = { kind: 'completed', result: 'null' } as const;
  return { seq, leaseSeq, type: 'noop', outcome, startedMs: 0, finishedMs: 0, grantedMs: 0 };
}
