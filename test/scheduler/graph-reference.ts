import { ruleSays, type Ends } from '../sim/trigger-rules.ts';

/**
 * What may become of each task of a graph, by the words of the contract and by nothing of the code under
 * test. It is shown the tables after every statement, and says what in them cannot be.
 *
 * A task has lives: one from its submit, and one more from each retry. Where nobody cancels, retries or
 * lets a task expire, its end follows from the graph alone (`endsOf`). Otherwise it follows from what
 * happened, and these are all the ends that a life may have:
 *
 *   COMPLETED, FAILED  by its plan, under a lease that its trigger rule allowed
 *   SKIPPED            where its trigger rule says so
 *   CANCELLED          where a cancel that names it was asked for and not yet done with; once it has the
 *                      mark of a cancel, only this or COMPLETED
 *   FAILED, expired    where its time to begin is over, nobody holds it, and no try was charged
 *
 * A rule is judged by what its dependencies have been during the life: each may count as it stood when
 * the life began, or as it was at any time since, because an end that was counted is not taken back from
 * who goes on by it. A dependency that nobody retried has ended once, so that this says when, too.
 */
export interface ObservedTask {
  readonly seq: number;
  readonly deps: readonly number[];
  readonly rule: number;
  readonly failures: number;
  readonly maxAttempts: number;
  /** 0 while it is live; else 1 COMPLETED, 2 FAILED, 3 CANCELLED, 4 SKIPPED. */
  readonly status: number;
  readonly nodeId: number;
  readonly leaseSeq: number;
  readonly attempt: number;
  readonly losses: number;
  readonly cancel: boolean;
  readonly ttlMs: number;
  readonly expiresAtMs: number;
}

export interface ObservedAsk {
  readonly inboxId: number;
  readonly kind: string;
  readonly seqs: readonly number[];
}

export interface Observed {
  readonly tasks: Iterable<ObservedTask>;
  readonly inbox: readonly ObservedAsk[];
  readonly nowMs: number;
}

const LIVE = 0;
const [COMPLETED, FAILED, CANCELLED, SKIPPED] = [1, 2, 3, 4] as const;

/** What the reference has seen of a task. */
interface Seen {
  last: ObservedTask;
  lives: number;
  /** How it stood when its dependents' lives began, and since: every status in its order. */
  readonly statuses: number[];
  /** Where in `statuses` of each dependency the present life began. */
  since: readonly number[];
}

export class GraphReference {
  readonly faults: string[] = [];
  private readonly tasks = new Map<number, Seen>();
  /** By the number of its row: what was asked, and the lives that each named task had by then. */
  private readonly asks = new Map<number, { ask: ObservedAsk; lives: readonly number[] }>();

  /** The tables after one statement. */
  observe({ tasks, inbox, nowMs }: Observed): void {
    const changed: { before: ObservedTask; after: ObservedTask; seen: Seen }[] = [];
    for (const row of tasks) {
      const seen = this.tasks.get(row.seq);
      if (seen === undefined) {
        this.tasks.set(row.seq, this.begin(row));
        continue;
      }
      const before = seen.last;
      seen.last = { ...row };
      if (before.status !== row.status) seen.statuses.push(row.status);
      if (isChanged(before, row)) changed.push({ before, after: seen.last, seen });
    }
    // What a statement does to a parent and to its child is one thing: all ends are known by now.
    for (const { before, after, seen } of changed) this.judge(before, after, seen, nowMs);
    this.followAsks(inbox);
  }

  /** When nothing is left to do: what the graph says of tasks that nobody meddled with, and of the rest. */
  conclude(): void {
    const touched = new Set<number>();
    for (const { ask } of this.asks.values()) {
      if (ask.kind === 'cancel' || ask.kind === 'retry')
        for (const seq of ask.seqs) touched.add(seq);
    }
    const all = [...this.tasks.values()].map(({ last }) => last);
    for (const { seq, ttlMs, deps } of all) {
      if (ttlMs > 0 || deps.some((dep) => touched.has(dep))) touched.add(seq);
    }
    const ends = endsOf(all);
    for (const { seq, status, deps, rule } of all) {
      if (status === LIVE) this.fault(seq, 'is live at the end');
      if (!touched.has(seq) && status !== ends.get(seq)) {
        this.fault(seq, `ended as ${String(status)}, and by the graph as ${String(ends.get(seq))}`);
      }
      const says = ruleSays(rule, countOf(deps.map((dep) => this.statusOf(dep))));
      if (status === SKIPPED && says !== 'skip') this.fault(seq, 'stayed SKIPPED after a retry');
    }
  }

  private begin(row: ObservedTask): Seen {
    return { last: { ...row }, lives: 1, statuses: [row.status], since: this.standing(row) };
  }

  private standing({ deps }: ObservedTask): readonly number[] {
    return deps.map((dep) => Math.max(0, (this.tasks.get(dep)?.statuses.length ?? 1) - 1));
  }

  private judge(before: ObservedTask, after: ObservedTask, seen: Seen, nowMs: number): void {
    const { seq } = after;
    if (before.status !== LIVE) {
      if (after.status !== LIVE) this.fault(seq, 'ended twice');
      else this.judgeRevival(before, seen);
      return;
    }
    if (after.status !== LIVE) {
      this.judgeEnd(before, after, seen, nowMs);
      return;
    }
    if (before.nodeId === 0 && after.nodeId !== 0) this.judgeLease(before, seen);
    if (before.nodeId !== 0 && after.nodeId === 0 && before.cancel) {
      this.fault(seq, 'went back to the queue with the mark of a cancel');
    }
    if (!before.cancel && after.cancel && !this.isAsked('cancel', seq)) {
      this.fault(seq, 'was marked though nobody cancels it');
    }
  }

  private judgeLease(before: ObservedTask, seen: Seen): void {
    if (before.cancel) this.fault(before.seq, 'was leased with the mark of a cancel');
    if (!this.canBe(seen, 'ready')) this.fault(before.seq, 'was leased before its rule held');
  }

  private judgeEnd(before: ObservedTask, after: ObservedTask, seen: Seen, nowMs: number): void {
    const { seq, failures, maxAttempts } = before;
    const isHeld = before.nodeId !== 0;
    switch (after.status) {
      case COMPLETED:
        if (!isHeld || before.attempt !== failures || failures >= maxAttempts) {
          this.fault(seq, `COMPLETED after ${String(before.attempt)} failures`);
        }
        return;
      case FAILED:
        if (!isHeld) this.judgeExpiry(before, nowMs);
        else if (before.attempt + 1 !== maxAttempts || failures < maxAttempts || before.cancel) {
          this.fault(seq, `FAILED after ${String(before.attempt)} failures`);
        }
        return;
      case CANCELLED:
        if (!before.cancel && !this.isAsked('cancel', seq)) {
          this.fault(seq, 'is CANCELLED though nobody cancels it');
        }
        return;
      case SKIPPED:
        if (isHeld || !this.canBe(seen, 'skip')) this.fault(seq, 'is SKIPPED against its rule');
        return;
      default:
        this.fault(seq, `ended as ${String(after.status)}`);
    }
  }

  private judgeExpiry(before: ObservedTask, nowMs: number): void {
    const { expiresAtMs, attempt, losses } = before;
    const isOver = expiresAtMs > 0 && expiresAtMs <= nowMs;
    if (!isOver || attempt + losses > 0) this.fault(before.seq, 'expired, and should not have');
  }

  /** It was named, or SKIPPED below one that was. */
  private judgeRevival(before: ObservedTask, seen: Seen): void {
    const { seq, status } = before;
    seen.lives += 1;
    seen.since = this.standing(before);
    if (status === COMPLETED) this.fault(seq, 'came back though it had COMPLETED');
    if (this.isAsked('retry', seq)) return;
    const above = new Set(before.deps);
    for (const dep of above) {
      for (const higher of this.tasks.get(dep)?.last.deps ?? []) above.add(higher);
    }
    const isBelow = [...above].some((dep) => this.isAsked('retry', dep));
    if (status !== SKIPPED || !isBelow) this.fault(seq, 'came back though nobody retries it');
  }

  /** What is asked must be done by the time that its row is gone. */
  private followAsks(inbox: readonly ObservedAsk[]): void {
    const standing = new Set(inbox.map(({ inboxId }) => inboxId));
    for (const [inboxId, { ask, lives }] of this.asks) {
      if (standing.has(inboxId) || this.done.has(inboxId)) continue;
      this.done.add(inboxId);
      for (const [at, seq] of ask.seqs.entries()) this.judgeDone(ask, seq, lives[at] ?? 0);
    }
    for (const ask of inbox) {
      if (this.asks.has(ask.inboxId)) continue;
      const lives = ask.seqs.map((seq) => this.tasks.get(seq)?.lives ?? 0);
      this.asks.set(ask.inboxId, { ask, lives });
    }
  }
  private readonly done = new Set<number>();

  private judgeDone({ kind }: ObservedAsk, seq: number, livesThen: number): void {
    const seen = this.tasks.get(seq);
    if (seen === undefined) return;
    const isSameLife = seen.lives === livesThen;
    const { status, cancel } = seen.last;
    if (kind === 'cancel' && isSameLife && status === LIVE && !cancel) {
      this.fault(seq, 'was to be cancelled, and was not');
    }
    if (kind === 'retry' && isSameLife) this.fault(seq, 'was to be retried, and was not');
  }

  private isAsked(kind: string, seq: number): boolean {
    for (const [inboxId, { ask }] of this.asks) {
      if (!this.done.has(inboxId) && ask.kind === kind && ask.seqs.includes(seq)) return true;
    }
    return false;
  }

  /** Whether the rule may have come to this by what the dependencies have been during the life. */
  private canBe({ last, since }: Seen, verdict: 'ready' | 'skip'): boolean {
    const options = last.deps.map((dep, at) => [
      ...new Set(this.tasks.get(dep)?.statuses.slice(since[at]) ?? []),
    ]);
    const search = (chosen: readonly number[]): boolean => {
      const next = options[chosen.length];
      if (next === undefined) return ruleSays(last.rule, countOf(chosen)) === verdict;
      return next.some((status) => search([...chosen, status]));
    };
    return search([]);
  }

  private statusOf(seq: number): number {
    return this.tasks.get(seq)?.last.status ?? LIVE;
  }

  private fault(seq: number, what: string): void {
    this.faults.push(`task ${String(seq)} ${what}`);
  }
}

/** How each task ends where nobody meddles: with nothing but the graph and the plans. */
export function endsOf(tasks: readonly ObservedTask[]): ReadonlyMap<number, number> {
  const bySeq = new Map(tasks.map((task) => [task.seq, task]));
  const ends = new Map<number, number>();
  const endOf = (seq: number): number => {
    const known = ends.get(seq);
    if (known !== undefined) return known;
    const { deps, rule, failures, maxAttempts } = bySeq.get(seq) as ObservedTask;
    const says = ruleSays(rule, countOf(deps.map(endOf)));
    const end = says === 'skip' ? SKIPPED : failures < maxAttempts ? COMPLETED : FAILED;
    ends.set(seq, end);
    return end;
  };
  for (const { seq } of tasks) endOf(seq);
  return ends;
}

function countOf(statuses: readonly number[]): Ends {
  const count = (...of: readonly number[]): number =>
    statuses.filter((status) => of.includes(status)).length;
  return {
    unended: count(LIVE),
    succeeded: count(COMPLETED),
    failed: count(FAILED, CANCELLED),
    skipped: count(SKIPPED),
  };
}

function isChanged(a: ObservedTask, b: ObservedTask): boolean {
  return a.status !== b.status || a.nodeId !== b.nodeId || a.cancel !== b.cancel;
}
