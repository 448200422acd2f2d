import { expect } from 'chai';
import { check } from './checker.ts';
import { failoversOf, figuresOf } from './failover.ts';
import type { HandlerLine, History, HistoryRow, TaskRow } from './history.ts';
import type { Violation } from './violation.ts';

/**
 * Goal: each verdict of the checker can be reached, and a sound run reaches none. Method: histories
 * made by hand, each a sound one with one thing wrong.
 */
const WORKER = 'skein/worker/node-1';
const LEADER = 'skein/leader/node-1';
const NODE = 7;

/** Writes a history down as the database and the handlers would. */
class Story {
  readonly rows: HistoryRow[] = [];
  readonly tasks: TaskRow[] = [];
  readonly handlerLines: HandlerLine[] = [];
  term = 1;
  private transactions = 0;

  task(seq: number, fields: Partial<TaskRow> = {}): this {
    this.tasks.push({
      ...{ seq, id: `t${String(seq)}`, status: 1, leaseSeq: 1, attempt: 1, maxAttempts: 3 },
      ...{ triggerRule: 0, dependencies: [], isLive: false, isListed: false },
      ...{ startedAtMs: null, finishedAtMs: null },
      ...fields,
    });
    return this;
  }

  commit(...rows: readonly (Partial<HistoryRow> & Pick<HistoryRow, 'op' | 'seq'>)[]): this {
    this.transactions += 1;
    for (const row of rows) {
      const id = this.rows.length + 1;
      this.rows.push({
        ...{ id, atMs: 1000 + id, txid: String(this.transactions), term: this.term },
        ...{ leader: 'node-1', session: LEADER, backend: '1/1', leaseSeq: 0, nodeId: null },
        ...{ status: null },
        ...row,
      });
    }
    return this;
  }

  born(seq: number, leaseSeq = 0): this {
    return this.commit({ op: 'born', seq, leaseSeq, session: 'skein/api/node-1' });
  }

  leased(seq: number, leaseSeq = 1, nodeId = NODE): this {
    return this.commit({ op: 'leased', seq, leaseSeq, nodeId });
  }

  letGo(seq: number, leaseSeq: number): this {
    return this.commit({ op: 'let-go', seq, leaseSeq, nodeId: NODE });
  }

  settled(seq: number, status: number, leaseSeq = 1, nodeId = NODE): this {
    const fields = { seq, leaseSeq, nodeId, session: WORKER };
    return this.commit({ ...fields, op: 'gone' }, { ...fields, op: 'ended', status });
  }

  ran(seq: number, place: 'node' | 'child', pid: number, fromMs: number, toMs: number): this {
    const line = { task: `t${String(seq)}`, lease_seq: pid, place, pid, wall_ms: 2000 };
    const ns = (ms: number): string => String(BigInt(ms) * 1_000_000n);
    this.handlerLines.push({ ...line, what: 'start', at_ns: ns(fromMs) });
    this.handlerLines.push({ ...line, what: 'tick', at_ns: ns(toMs) });
    return this;
  }

  violations(acknowledged: readonly string[] = []): readonly Violation[] {
    const { rows, tasks, handlerLines } = this;
    return check({ rows, tasks, handlerLines } satisfies History, new Set(acknowledged));
  }

  kinds(acknowledged: readonly string[] = []): readonly string[] {
    return this.violations(acknowledged).map(({ kind }) => kind);
  }
}

describe('the checker of a run under chaos', () => {
  it('finds nothing wrong with tasks that ran in order, were lost, ran again and were retried', () => {
    const story = new Story()
      .task(1, { leaseSeq: 3 })
      .task(2, { dependencies: ['t1'] })
      .task(3, { status: 4, isListed: true, dependencies: ['t4'], leaseSeq: 2 })
      .task(4, { status: 2, isListed: true, leaseSeq: 3 });
    story.born(1).born(2).born(4).born(3);
    story.leased(1).letGo(1, 2).leased(1, 3).settled(1, 1, 3).leased(2).settled(2, 1);
    story.leased(4).settled(4, 2);
    story.commit({ op: 'gone', seq: 3 }, { op: 'ended', seq: 3, status: 4 });
    story.commit(
      { op: 'born', seq: 3, leaseSeq: 2 },
      { op: 'born', seq: 4, leaseSeq: 2 },
      { op: 'unended', seq: 3, status: 4, leaseSeq: 2 },
      { op: 'unended', seq: 4, status: 2, leaseSeq: 2 },
    );
    story.leased(4, 3).settled(4, 2, 3);
    story.commit({ op: 'gone', seq: 3 }, { op: 'ended', seq: 3, status: 4 });
    story.ran(1, 'child', 1, 0, 40).ran(1, 'child', 3, 41, 60);
    expect(story.violations(['t1', 't2', 't3', 't4'])).to.deep.equal([]);
  });

  it('sees a task that was acknowledged and is nowhere', () => {
    expect(new Story().kinds(['t9'])).to.deep.equal(['lost']);
  });

  it('sees a task that is neither live nor ended', () => {
    expect(new Story().task(1, { status: null }).kinds()).to.deep.equal(['lost']);
  });

  it('sees a task that does not end', () => {
    const story = new Story().task(1, { status: null, isLive: true }).born(1);
    expect(story.kinds()).to.deep.equal(['stuck']);
  });

  it('sees a second end', () => {
    const story = new Story().task(1).born(1).leased(1).settled(1, 1);
    story.commit({ op: 'ended', seq: 1, status: 1, leaseSeq: 1, session: LEADER });
    expect(story.kinds()).to.deep.equal(['accepted-twice']);
  });

  it('sees a completed task that was made to run again', () => {
    const story = new Story().task(1).born(1).leased(1).settled(1, 1);
    story.commit(
      { op: 'born', seq: 1, leaseSeq: 2 },
      { op: 'unended', seq: 1, status: 1, leaseSeq: 2 },
    );
    story.leased(1, 3).settled(1, 1, 3);
    expect(story.kinds()).to.deep.equal(['accepted-twice']);
  });

  it('sees an outcome under a lease that was taken back, and one of another node', () => {
    const story = new Story().task(1).born(1).leased(1).letGo(1, 2);
    story.commit({ op: 'ended', seq: 1, status: 1, leaseSeq: 1, nodeId: NODE, session: WORKER });
    expect(story.kinds()).to.deep.equal(['accepted-twice']);
    const other = new Story()
      .task(1)
      .born(1)
      .leased(1)
      .settled(1, 1, 1, NODE + 1);
    expect(other.kinds()).to.include('accepted-twice');
  });

  it('sees a lease given while another is held, and a number that is given again', () => {
    const held = new Story().task(1).born(1).leased(1).leased(1, 2).settled(1, 1, 2);
    expect(held.kinds()).to.deep.equal(['accepted-twice']);
    const again = new Story().task(1).born(1).leased(1).letGo(1, 2).leased(1, 1).settled(1, 1, 1);
    expect(again.kinds()).to.deep.equal(['accepted-twice']);
  });

  it('sees a retry that begins again with the lease number', () => {
    const story = new Story().task(1).born(1).leased(1).settled(1, 2);
    story.commit({ op: 'born', seq: 1 }, { op: 'unended', seq: 1, status: 2 });
    story.leased(1).settled(1, 1);
    expect(story.kinds()).to.deep.equal(['accepted-twice']);
  });

  it('sees a lease before its dependency ended, for every trigger rule', () => {
    const early = (triggerRule: number, ends: readonly number[]): readonly unknown[] => {
      const story = new Story().task(9, { triggerRule, dependencies: ['t1', 't2'] });
      for (const seq of [1, 2]) story.task(seq, { status: ends[seq - 1] ?? 1 }).born(seq);
      story.born(9);
      for (const [at, status] of ends.entries()) story.leased(at + 1).settled(at + 1, status);
      story.leased(9).settled(9, 1);
      return story.violations().filter(({ kind, task }) => kind === 'early' && task === 't9');
    };
    const cases: readonly [rule: number, ends: readonly number[], isEarly: boolean][] = [
      [0, [1], true],
      [0, [1, 2], true],
      [0, [1, 1], false],
      [1, [2], true],
      [1, [2, 3], false],
      [2, [2], true],
      [2, [1], false],
      [3, [1], true],
      [3, [2], false],
      [4, [1], true],
      [4, [1, 3], true],
      [4, [1, 4], false],
    ];
    for (const [rule, ends, isEarly] of cases) {
      expect(early(rule, ends), `rule ${String(rule)}`).to.have.length(isEarly ? 1 : 0);
    }
  });

  it('sees a task that was skipped though nothing asked for it', () => {
    const story = new Story().task(1).born(1).leased(1).settled(1, 1);
    story.task(2, { status: 4, isListed: true, dependencies: ['t1'] }).born(2);
    story.commit({ op: 'gone', seq: 2 }, { op: 'ended', seq: 2, status: 4 });
    expect(story.kinds()).to.deep.equal(['early']);
  });

  it('sees a start that is written down as before the end of a dependency', () => {
    const story = new Story().task(1, { finishedAtMs: 5000 }).born(1).leased(1).settled(1, 1);
    story
      .task(2, { startedAtMs: 4999, dependencies: ['t1'] })
      .born(2)
      .leased(2)
      .settled(2, 1);
    expect(story.kinds()).to.deep.equal(['early']);
  });

  it('sees what a leader commits when a later term has begun', () => {
    const story = new Story().task(1).born(1);
    story.leased(1).settled(1, 1).task(2).born(2);
    story.term = 2;
    story.commit({ op: 'leased', seq: 2, leaseSeq: 1, nodeId: NODE, leader: 'node-1' });
    story.settled(2, 1);
    expect(story.kinds()).to.deep.equal(['old-term']);
    const other = new Story().task(1).born(1);
    other.commit({ op: 'leased', seq: 1, leaseSeq: 1, nodeId: NODE, leader: 'node-2' });
    expect(other.settled(1, 1).kinds()).to.deep.equal(['old-term']);
  });

  it('sees a task in two processes of its own at once, and bears with one on a node', () => {
    const run = (place: 'node' | 'child'): readonly string[] =>
      new Story()
        .task(1, { leaseSeq: 3 })
        .born(1)
        .leased(1)
        .letGo(1, 2)
        .leased(1, 3)
        .settled(1, 1, 3)
        .ran(1, place, 1, 0, 100)
        .ran(1, 'child', 3, 99, 200)
        .kinds();
    expect(run('child')).to.deep.equal(['overlap']);
    expect(run('node')).to.deep.equal([]);
  });

  it('sees a handler that began without its lease, or before it was committed', () => {
    const without = new Story().task(1).born(1).leased(1).settled(1, 1).ran(1, 'node', 2, 0, 1);
    expect(without.kinds()).to.deep.equal(['unleased']);
    const before = new Story().task(1).born(1).ran(1, 'node', 1, 0, 1);
    before.commit({ op: 'leased', seq: 1, leaseSeq: 1, nodeId: NODE, atMs: 2010 });
    expect(before.settled(1, 1).kinds()).to.deep.equal(['unleased']);
  });

  it('sees tables that contradict each other, and a try too many', () => {
    const ended = (fields: Partial<TaskRow>): readonly string[] =>
      new Story().task(1, fields).born(1).leased(1).settled(1, 1).kinds();
    expect(ended({ isLive: true })).to.deep.equal(['inconsistent']);
    expect(ended({ isListed: true })).to.deep.equal(['inconsistent']);
    expect(ended({ status: 2 })).to.deep.equal(['inconsistent']);
    expect(ended({ attempt: 4 })).to.deep.equal(['inconsistent']);
  });
});

describe('the failovers of a run', () => {
  const story = new Story().born(1);
  story.term = 2;
  story.commit({ op: 'term', seq: 0, atMs: 5200 }, { op: 'leased', seq: 1, atMs: 5300 });
  const fault = { kind: 'kill', atMs: 5000, term: 1 };

  it('last from the fault to the first lease of the next term', () => {
    expect(failoversOf(story.rows, [fault], [])).to.deep.equal([{ kind: 'kill', ms: 300 }]);
  });

  it('count once, for the last fault of a term, and not while PostgreSQL is down', () => {
    const later = { ...fault, kind: 'stop', atMs: 5100 };
    expect(failoversOf(story.rows, [fault, later], [])).to.deep.equal([{ kind: 'stop', ms: 200 }]);
    expect(failoversOf(story.rows, [fault], [{ fromMs: 4000, toMs: 5100 }])).to.deep.equal([]);
    expect(failoversOf(story.rows, [{ ...fault, term: 2 }], [])).to.deep.equal([]);
  });

  it('have a median, a 99th percentile and a maximum', () => {
    const values = Array.from({ length: 100 }, (_, i) => 100 - i);
    expect(figuresOf(values)).to.deep.equal({ count: 100, p50: 50, p99: 99, max: 100 });
    expect(figuresOf([])).to.deep.equal({ count: 0, p50: null, p99: null, max: null });
  });
});
