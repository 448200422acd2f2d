import type { Commit } from './postgres/server.ts';
import type { Data, LiveRow, TaskRow } from './postgres/schema.ts';
import type { SimProcess } from './process.ts';
import { ruleSays, type Verdict } from './trigger-rules.ts';

/**
 * What has happened, judged as it happens. Every commit and every start of a handler comes through
 * here; what must never be is put among the faults, with the number of the invariant:
 *
 *  I1  a task ends once, unless a user retried it · I3  `lease_seq` only rises, by one at each lease, and
 *  no budget is exceeded · I4  nothing starts before its trigger rule holds · I5  nothing of an earlier
 *  term is committed after a later one began · I7  one task does not run twice at the same time ·
 *  I11  an end is final · I13  a task adds others only under the lease that it holds, and all of them.
 *
 * (I2, I6, I9, I10 and I12 are judged by simulation.ts, I8 by the ids of tasks: one id, one task.)
 */
interface Execution {
  readonly process: SimProcess;
  readonly leaseSeq: number;
  readonly isChild: boolean;
  wasFrozen: boolean;
}

export class History {
  readonly faults: string[] = [];
  /** Ids of submits that were answered with success. */
  readonly acknowledged = new Set<string>();
  /** Tasks that came back by a retry, and so may run again. */
  readonly revived = new Set<number>();
  /** Things that happened, counted by what they were. */
  readonly counts = new Map<string, number>();
  readonly begun = new Map<number, number>();
  /** A task is about to add others. */
  onAdding: (seq: number) => void = () => undefined;
  private readonly data: Data;
  private readonly executions = new Map<number, Set<Execution>>();
  private readonly begunLeases = new Set<string>();
  private readonly ends = new Map<number, number>();

  constructor(data: Data) {
    this.data = data;
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }

  fault(invariant: string, what: string): void {
    if (this.faults.length < 20) this.faults.push(`${invariant}: ${what}`);
  }

  onCommit({ statement, fencedBy, changes }: Commit): void {
    const { term = 0 } = this.data.term.get(1) ?? {};
    if (fencedBy !== undefined && fencedBy !== term) {
      this.fault(
        'I5',
        `${statement} of term ${String(fencedBy)} committed in term ${String(term)}`,
      );
    }
    for (const { table, before, after } of changes) {
      if (table === 'task') this.onTask(before as TaskRow | undefined, after as TaskRow, statement);
      if (table === 'live')
        this.onLive(before as LiveRow | undefined, after as LiveRow | undefined);
    }
  }

  private onTask(before: TaskRow | undefined, after: TaskRow, statement: string): void {
    if (before === undefined) {
      this.onAdded(after);
      return;
    }
    const { seq } = after;
    if (before.status !== 0 && after.status !== before.status) {
      if (after.status !== 0) {
        this.fault(
          'I1',
          `${name(seq)} ended as ${String(before.status)} and ${String(after.status)}`,
        );
      } else if (before.status === 1 || statement !== 'term-writer.reviveMany') {
        this.fault('I11', `${name(seq)} came back by ${statement}`);
      }
    }
    if (before.status !== 0 && after.status === 0) this.revived.add(seq);
    if (before.status === 0 && statement === 'term-writer.expireMany') this.onExpired(after);
    if (before.status === 0 && after.status !== 0) {
      this.ends.set(seq, (this.ends.get(seq) ?? 0) + 1);
      this.count(`ended ${String(after.status)}`);
    }
    if (after.leaseSeq < before.leaseSeq) this.fault('I3', `${name(seq)}: its number went back`);
    if (after.attempt > after.maxAttempts + 1) this.fault('I3', `${name(seq)} exceeds its budget`);
  }

  private onAdded({ seq, parentSeq, addedUnder }: TaskRow): void {
    if (parentSeq === 0) return;
    const parent = this.data.live.get(parentSeq);
    const isHeld = parent?.leaseSeq === addedUnder && parent.nodeId !== 0 && !parent.cancel;
    if (!isHeld)
      this.fault('I13', `${name(seq)} was added by ${name(parentSeq)} without its lease`);
  }

  /** What has begun does not expire; of a task that came back only its last life would count. */
  private onExpired({ seq, ttlMs }: TaskRow): void {
    this.count('expired');
    if (this.revived.has(seq)) return;
    if (ttlMs === null) this.fault('I4', `${name(seq)} expired without a limit`);
    if (this.begun.has(seq)) this.fault('I4', `${name(seq)} expired though it had begun`);
  }

  private onLive(before: LiveRow | undefined, after: LiveRow | undefined): void {
    if (after === undefined) return;
    if (before === undefined) {
      const { leaseSeq = 0 } = this.data.task.get(after.seq) ?? {};
      if (after.leaseSeq < leaseSeq)
        this.fault('I3', `${name(after.seq)} revived under an old number`);
      return;
    }
    const isLease = before.nodeId === 0 && after.nodeId !== 0;
    const isEnd = before.nodeId !== 0 && after.nodeId === 0;
    const isSame = before.nodeId === after.nodeId;
    const expected = before.leaseSeq + (isLease || isEnd ? 1 : 0);
    if ((!isSame && !isLease && !isEnd) || after.leaseSeq !== expected) {
      this.fault('I3', `${name(after.seq)} went from ${lease(before)} to ${lease(after)}`);
    }
  }

  /** A handler begins; the answer ends it. */
  begin(process: SimProcess, id: string, leaseSeq: number, isChild: boolean): () => void {
    const seq = this.data.taskId.get(id) ?? 0;
    const key = `${String(seq)} under ${String(leaseSeq)}`;
    if (this.begunLeases.has(key)) this.fault('I7', `task ${key} was begun twice`);
    this.begunLeases.add(key);
    this.begun.set(seq, (this.begun.get(seq) ?? 0) + 1);
    this.judgeStart(seq);
    const others = this.executions.get(seq) ?? new Set();
    this.executions.set(seq, others);
    for (const other of others) {
      if (other.process.isDead) continue;
      // In the process of a node that froze, a handler cannot be stopped before the node wakes up.
      if (!other.isChild && (other.wasFrozen || other.process.isFrozen))
        this.count('overlap after a freeze');
      else this.fault('I7', `task ${key} began while ${String(other.leaseSeq)} ran`);
    }
    const execution = { process, leaseSeq, isChild, wasFrozen: false };
    others.add(execution);
    return () => others.delete(execution);
  }

  onFreeze(process: SimProcess): void {
    for (const executions of this.executions.values()) {
      for (const execution of executions)
        if (execution.process === process) execution.wasFrozen = true;
    }
  }

  private judgeStart(seq: number): void {
    const task = this.data.task.get(seq);
    if (task === undefined) {
      this.fault('I4', `${name(seq)} started and is not there`);
      return;
    }
    const parents = task.dependencies.map((id) => this.data.taskId.get(id) ?? 0);
    if (parents.some((parent) => this.revived.has(parent))) return;
    const verdict = this.verdict(task);
    if (verdict !== 'ready')
      this.fault('I4', `${name(seq)} started though its rule says ${verdict}`);
  }

  verdict(task: TaskRow): Verdict {
    const ends = task.dependencies.map(
      (id) => this.data.task.get(this.data.taskId.get(id) ?? 0)?.status ?? 0,
    );
    const count = (...codes: number[]): number => ends.filter((end) => codes.includes(end)).length;
    return ruleSays(task.rule, {
      unended: count(0),
      succeeded: count(1),
      failed: count(2, 3),
      skipped: count(4),
    });
  }
}

function name(seq: number): string {
  return `task ${String(seq)}`;
}

function lease({ leaseSeq, nodeId }: LiveRow): string {
  return `lease ${String(leaseSeq)} of node ${String(nodeId)}`;
}
