import type { History, HistoryRow, TaskRow } from './history.ts';
import type { Violation, ViolationKind } from './violation.ts';

/**
 * Plays the commits again, one transaction after the other, and holds each task's row against what may
 * happen to it: born → (leased → let go)* → leased → ended → (retried: born again) …
 */
export class Replay {
  private readonly history: History;
  private readonly tasks = new Map<number, Replayed>();
  private readonly violations: Violation[] = [];

  constructor(history: History) {
    this.history = history;
    const seqOf = new Map(history.tasks.map((task) => [task.id, task.seq]));
    for (const task of history.tasks) {
      const dependencies = task.dependencies.flatMap((id) => seqOf.get(id) ?? []);
      this.tasks.set(task.seq, new Replayed(task, dependencies));
    }
    for (const task of this.tasks.values()) {
      for (const seq of task.dependencies) this.tasks.get(seq)?.children.push(task);
    }
  }

  run(): readonly Violation[] {
    for (const transaction of transactionsOf(this.history.rows)) {
      // What one statement does to many tasks, a retry or a skip, it does at once.
      for (const row of transaction) this.applyStatus(row);
      for (const row of transaction) this.applyLife(row);
      for (const row of transaction) this.lookAround(row);
      for (const row of transaction) this.judgeSkip(row);
    }
    return this.violations;
  }

  private applyStatus(row: HistoryRow): void {
    const task = this.tasks.get(row.seq);
    if (task === undefined) return;
    if (row.op === 'ended') this.end(task, row);
    if (row.op !== 'unended') return;
    if (row.status === 1) this.add('accepted-twice', task, 'COMPLETED, and made to run again');
    task.status = null;
  }

  private end(task: Replayed, row: HistoryRow): void {
    const { status, leaseSeq, nodeId } = row;
    if (task.status !== null) {
      this.add(
        'accepted-twice',
        task,
        `ended as ${String(task.status)}, then as ${String(status)}`,
      );
    }
    task.status = status;
    if (!row.session.startsWith('skein/worker/')) return;
    const { lease } = task;
    const isOver = lease?.endedBy !== undefined && lease.endedBy !== row.txid;
    if (lease === undefined || isOver || lease.seq !== leaseSeq || lease.nodeId !== nodeId) {
      const under = `lease ${String(leaseSeq)} of node ${String(nodeId)}`;
      this.add('accepted-twice', task, `an outcome was accepted under ${under}, which was over`);
    }
  }

  private applyLife(row: HistoryRow): void {
    const task = this.tasks.get(row.seq);
    if (task === undefined) return;
    switch (row.op) {
      case 'born':
        if (task.isLive) this.add('accepted-twice', task, 'born while it was live');
        if (row.leaseSeq <= task.leaseSeq && task.hasLived) {
          this.add('accepted-twice', task, 'its lease number began again');
        }
        task.beBorn(row.leaseSeq);
        return;
      case 'leased':
        this.lease(task, row);
        return;
      case 'let-go':
      case 'gone':
        if (row.nodeId !== null) this.endLease(task, row);
        task.isLive = row.op === 'let-go';
        task.leaseSeq = row.leaseSeq;
        return;
      case 'moved':
        this.add('accepted-twice', task, `lease ${String(row.leaseSeq)} changed while it was held`);
        return;
      case 'term':
      case 'ended':
      case 'unended':
        return;
    }
  }

  private lease(task: Replayed, row: HistoryRow): void {
    if (task.lease !== undefined && task.lease.endedBy === undefined) {
      this.add('accepted-twice', task, `leased while lease ${String(task.lease.seq)} was held`);
    }
    if (row.leaseSeq <= task.leaseSeq) {
      this.add('accepted-twice', task, `lease number ${String(row.leaseSeq)} was given before`);
    }
    if (!task.isReady) this.add('early', task, `lease ${String(row.leaseSeq)} came too early`);
    task.leaseSeq = row.leaseSeq;
    task.lease = { seq: row.leaseSeq, nodeId: row.nodeId, endedBy: undefined };
  }

  private endLease(task: Replayed, row: HistoryRow): void {
    const { lease } = task;
    if (lease?.endedBy === undefined && lease?.nodeId === row.nodeId) lease.endedBy = row.txid;
    else this.add('accepted-twice', task, `the end of a lease that was over (${row.op})`);
  }

  /** A rule that held once since the birth of a task may be acted on, whatever was retried since. */
  private lookAround(row: HistoryRow): void {
    const task = this.tasks.get(row.seq);
    if (task === undefined) return;
    if (row.op === 'born') this.judge(task);
    if (row.op === 'ended' || row.op === 'unended')
      task.children.forEach((child) => this.judge(child));
  }

  private judgeSkip({ op, seq, status }: HistoryRow): void {
    const task = this.tasks.get(seq);
    if (task === undefined || op !== 'ended' || status !== 4 || task.isSkippable) return;
    this.add('early', task, 'skipped though its trigger rule never asked for it');
  }

  private judge(task: Replayed): void {
    const ends = task.dependencies.map((seq) => this.tasks.get(seq)?.status ?? null);
    const verdict = verdictOf(task.rule, ends);
    if (verdict === 'ready') task.isReady = true;
    if (verdict === 'skip') task.isSkippable = true;
  }

  private add(kind: ViolationKind, { id }: Replayed, what: string): void {
    this.violations.push({ kind, task: id, what });
  }
}

class Replayed {
  readonly id: string;
  readonly rule: number;
  readonly dependencies: readonly number[];
  readonly children: Replayed[] = [];
  status: number | null = null;
  isLive = false;
  hasLived = false;
  leaseSeq = 0;
  isReady = false;
  isSkippable = false;
  lease:
    | { readonly seq: number; readonly nodeId: number | null; endedBy: string | undefined }
    | undefined;

  constructor(task: TaskRow, dependencies: readonly number[]) {
    this.id = task.id;
    this.rule = task.triggerRule;
    this.dependencies = dependencies;
  }

  beBorn(leaseSeq: number): void {
    this.isLive = true;
    this.hasLived = true;
    this.leaseSeq = leaseSeq;
    this.isReady = false;
    this.isSkippable = false;
  }
}

/** Their rows are written at the commit, so those of one stand together but for a concurrent one's. */
function transactionsOf(rows: readonly HistoryRow[]): Iterable<readonly HistoryRow[]> {
  const byTransaction = new Map<string, HistoryRow[]>();
  for (const row of rows) {
    const known = byTransaction.get(row.txid);
    if (known === undefined) byTransaction.set(row.txid, [row]);
    else known.push(row);
  }
  const lastIdOf = (transaction: readonly HistoryRow[]): number => transaction.at(-1)?.id ?? 0;
  return [...byTransaction.values()].toSorted((a, b) => lastIdOf(a) - lastIdOf(b));
}

/** Of dependencies by how they ended: 1 COMPLETED, 2 FAILED, 3 CANCELLED, 4 SKIPPED, null not yet. */
function verdictOf(rule: number, ends: readonly (number | null)[]): 'wait' | 'ready' | 'skip' {
  const isDone = !ends.includes(null);
  const succeeded = ends.some((end) => end === 1);
  const failed = ends.some((end) => end === 2 || end === 3);
  const skipped = ends.some((end) => end === 4);
  if (ends.length === 0) return 'ready';
  switch (rule) {
    case 0:
      if (failed || skipped) return 'skip';
      return isDone ? 'ready' : 'wait';
    case 1:
      return isDone ? 'ready' : 'wait';
    case 2:
      if (succeeded) return 'ready';
      return isDone ? 'skip' : 'wait';
    case 3:
      if (failed) return 'ready';
      return isDone ? 'skip' : 'wait';
    case 4:
      if (failed) return 'skip';
      return isDone ? 'ready' : 'wait';
    default:
      throw new Error(`there is no trigger rule ${String(rule)}`);
  }
}
