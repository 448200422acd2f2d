import type { LiveRows } from '../../node/core/events.ts';
import { SettledAs } from '../../node/core/messages.ts';
import {
  EndCode,
  type TriggerRuleCode,
  type TriggerVerdict,
  verdictOf,
} from '../../node/core/task.ts';
import type { InboxRow, NodeRow, ReaderPort, WriterPort } from '../../node/leader/ports.ts';

/**
 * The tables and the statements of the store in memory, each statement whole and alone, with the
 * guards that its SQL has. Statements are written here a second time on purpose: what they promise the
 * scheduler is what this file says, and test/rules shows that PostgreSQL keeps it.
 */
export interface ModelTask {
  readonly seq: number;
  readonly deps: readonly number[];
  readonly rule: TriggerRuleCode;
  /** Attempts that fail before one completes. */
  failures: number;
  readonly maxAttempts: number;
  /** 0 while the task is live. */
  status: EndCode | 0;
  priority: number;
  runAtMs: number;
  /** Milliseconds that it has to begin, from when it is added or revived; 0 for no limit. */
  readonly ttlMs: number;
  /** 0 once it has begun. */
  expiresAtMs: number;
  leaseSeq: number;
  nodeId: number;
  attempt: number;
  losses: number;
  cancel: boolean;
  /** Leases that were ever given. */
  leases: number;
  revivals: number;
}

export class DeposedError extends Error {}

type NodeState = Pick<NodeRow, 'nodeId' | 'name'> & { state: NodeRow['state']; untilMs: number };
type Reader = { [Name in keyof ReaderPort]: (...args: Parameters<ReaderPort[Name]>) => unknown };

export class ModelDatabase {
  readonly tasks = new Map<number, ModelTask>();
  readonly nodes = new Map<number, NodeState>();
  inbox: InboxRow[] = [];
  nowMs = 1_000_000;
  term = 0;
  /** What should never have been committed. */
  readonly faults: string[] = [];
  private lastInboxId = 0;

  get live(): readonly ModelTask[] {
    return [...this.tasks.values()].filter((task) => task.status === 0);
  }

  add(
    task: Omit<
      ModelTask,
      'status' | 'leaseSeq' | 'nodeId' | 'attempt' | 'losses' | 'cancel' | 'expiresAtMs'
    >,
  ): void {
    const fresh = {
      status: 0,
      leaseSeq: 0,
      nodeId: 0,
      attempt: 0,
      losses: 0,
      cancel: false,
    } as const;
    const { ttlMs, runAtMs } = task;
    const expiresAtMs = ttlMs > 0 ? Math.max(this.nowMs, runAtMs) + ttlMs : 0;
    this.tasks.set(task.seq, { ...task, ...fresh, expiresAtMs });
  }

  /** A row of the inbox: the tasks of a submit, or those that a user asks something of. */
  ask(kind: InboxRow['kind'], seqs: readonly number[], isBulk = false): void {
    const inboxId = (this.lastInboxId += 1);
    const range = { firstSeq: Math.min(...seqs), lastSeq: Math.max(...seqs) };
    this.inbox.push({ inboxId, kind, ...range, seqs, isBulk });
  }

  verdict(task: ModelTask): TriggerVerdict {
    const ends = task.deps.map((dep) => this.tasks.get(dep)?.status ?? 0);
    const count = (...codes: number[]): number => ends.filter((end) => codes.includes(end)).length;
    return verdictOf(task.rule, {
      unended: count(0),
      succeeded: count(EndCode.COMPLETED),
      failed: count(EndCode.FAILED, EndCode.CANCELLED),
      skipped: count(EndCode.SKIPPED),
    });
  }

  /** A node settles one task under its lease; undefined where the lease was over. */
  settle(
    nodeId: number,
    seq: number,
    leaseSeq: number,
    asked: SettledAs,
    delayMs: number,
  ): { settledAs: SettledAs; nextLeaseSeq: number; attempt: number; runAtMs: number } | undefined {
    const task = this.tasks.get(seq);
    if (task?.status !== 0 || task.nodeId !== nodeId || task.leaseSeq !== leaseSeq)
      return undefined;
    const isSuccess = asked === SettledAs.COMPLETED;
    const settledAs = task.cancel && !isSuccess ? SettledAs.CANCELLED : asked;
    if (asked !== SettledAs.RELEASED) task.attempt += 1;
    if (settledAs === SettledAs.RETRY || settledAs === SettledAs.RELEASED) {
      task.leaseSeq += 1;
      task.nodeId = 0;
      if (delayMs > 0) task.runAtMs = this.nowMs + delayMs;
      if (settledAs === SettledAs.RETRY) task.expiresAtMs = 0;
      const { attempt, runAtMs } = task;
      return { settledAs, nextLeaseSeq: task.leaseSeq, attempt, runAtMs };
    }
    task.status = settledAs;
    return { settledAs, nextLeaseSeq: 0, attempt: task.attempt, runAtMs: 0 };
  }

  /** What the leader of a term may write; throws where it is deposed. */
  writer(term: number): {
    [Name in keyof WriterPort]: (...args: Parameters<WriterPort[Name]>) => unknown;
  } {
    const fenced = <Args extends unknown[]>(run: (...args: Args) => unknown) => {
      return (...args: Args): unknown => {
        if (term !== this.term) throw new DeposedError('another node leads a later term');
        return run(...args);
      };
    };
    return {
      leaseMany: fenced((seqs, leaseSeqs, nodeIds) => this.lease(seqs, leaseSeqs, nodeIds)),
      skipMany: fenced((seqs) => this.end(seqs, EndCode.SKIPPED, false)),
      expireMany: fenced((seqs) => this.expire(seqs)),
      cancelMany: fenced((seqs) => this.end(seqs, EndCode.CANCELLED, true)),
      takeBackMany: fenced((nodeId, seqs, leaseSeqs, outcome) =>
        this.takeBack(nodeId, seqs, leaseSeqs, outcome),
      ),
      buryNode: fenced((nodeId, isProven, guardMs) => this.bury(nodeId, isProven, guardMs)),
      reviveMany: fenced((seqs) => this.revive(seqs)),
      deleteInboxMany: fenced((ids) => {
        this.inbox = this.inbox.filter((row) => !ids.includes(row.inboxId));
      }),
      addEvent: fenced(() => undefined),
    };
  }

  readonly reader: Reader = {
    liveAfter: (afterSeq, lastSeq, limit) => {
      const inRange = this.live.filter(({ seq }) => seq > afterSeq && seq <= lastSeq);
      return toRows(inRange.sort((a, b) => a.seq - b.seq).slice(0, limit));
    },
    liveReadyAfter: (afterSeq, among, limit) => {
      const stride = this.live.filter(({ seq }) => seq > afterSeq).sort((a, b) => a.seq - b.seq);
      const seen = stride.slice(0, among);
      const ready = seen.filter(
        (task) => task.nodeId === 0 && !task.deps.some((dep) => this.tasks.get(dep)?.status === 0),
      );
      return { rows: toRows(ready.slice(0, limit)), lastSeq: seen.at(-1)?.seq ?? 0 };
    },
    live: (seqs) => toRows(this.found(seqs).filter((task) => task.status === 0)),
    resolve: (seqs) => ({ seqs, codes: this.found(seqs).map((task) => task.status) }),
    reread: (seqs) => {
      const ended = this.found(seqs).filter((task) => task.status !== 0);
      return {
        rows: toRows(this.found(seqs).filter((task) => task.status === 0)),
        endedSeqs: ended.map((task) => task.seq),
        endedCodes: ended.map((task) => task.status),
        endedLeaseSeqs: ended.map((task) => task.leaseSeq),
      };
    },
    inbox: (limit) => [
      ...this.inbox.filter(({ isBulk }) => !isBulk).slice(0, limit),
      ...this.inbox.filter(({ isBulk }) => isBulk).slice(0, 1),
    ],
    bulk: (afterId, limit) =>
      this.inbox.filter(({ isBulk, inboxId }) => isBulk && inboxId > afterId).slice(0, limit),
    clockMs: () => this.nowMs,
    nodes: (alsoIds) =>
      [...this.nodes.values()]
        .filter(({ nodeId, state }) => state === 'alive' || alsoIds.includes(nodeId))
        .map((node) => this.toNodeRow(node)),
    handledTypes: () => new Map([['work', 1]]),
    gatedTypes: () => ({ pausedIds: [], limitedIds: [], limits: [] }),
    firstEndMs: () => 0,
    skippedBelow: (seqs) => {
      const below = new Set(seqs);
      const skipped = [...this.tasks.values()].filter((task) => task.status === EndCode.SKIPPED);
      for (const seq of below) {
        for (const task of skipped) if (task.deps.includes(seq)) below.add(task.seq);
      }
      return [...below];
    },
  };

  renew(nodeIds: readonly number[], leaseMs: number): { nodeId: number; leaseUntilMs: number }[] {
    const alive = [...this.nodes.values()].filter(
      (n) => nodeIds.includes(n.nodeId) && n.state === 'alive',
    );
    for (const node of alive) node.untilMs = this.nowMs + leaseMs;
    return alive.map(({ nodeId, untilMs }) => ({ nodeId, leaseUntilMs: untilMs }));
  }

  private lease(seqs: readonly number[], leaseSeqs: readonly number[], nodeIds: readonly number[]) {
    const leased: ModelTask[] = [];
    for (const [at, seq] of seqs.entries()) {
      const task = this.tasks.get(seq);
      if (task?.status !== 0 || task.leaseSeq !== leaseSeqs[at]) continue;
      if (task.nodeId !== 0 || task.cancel || task.runAtMs > this.nowMs) continue;
      const wasRevived = task.deps.some((dep) => (this.tasks.get(dep)?.revivals ?? 0) > 0);
      if (this.verdict(task) !== 'ready' && !wasRevived) {
        this.faults.push(
          `task ${String(seq)} was leased though its rule says ${this.verdict(task)}`,
        );
      }
      task.leaseSeq += 1;
      task.leases += 1;
      task.nodeId = nodeIds[at] as number;
      leased.push(task);
    }
    return toPersisted(leased);
  }

  private end(seqs: readonly number[], code: EndCode, marks: boolean) {
    const locked = this.found(seqs).filter((task) => task.status === 0);
    const gone = locked.filter((task) => task.nodeId === 0);
    for (const task of gone) task.status = code;
    if (!marks) return toPersisted(gone);
    const marked = locked.filter((task) => task.nodeId !== 0);
    for (const task of marked) task.cancel = true;
    return { ...toPersisted(gone), markedSeqs: marked.map((task) => task.seq) };
  }

  private expire(seqs: readonly number[]) {
    const gone = this.found(seqs).filter(
      ({ status, nodeId, expiresAtMs }) =>
        status === 0 && nodeId === 0 && expiresAtMs > 0 && expiresAtMs <= this.nowMs,
    );
    for (const task of gone) task.status = EndCode.FAILED;
    return toPersisted(gone);
  }

  private takeBack(
    nodeId: number,
    seqs: readonly number[],
    leaseSeqs: readonly number[],
    outcome: 'lost' | 'released',
  ) {
    const wanted = new Map(seqs.map((seq, at) => [seq, leaseSeqs[at]]));
    const locked = this.found(seqs).filter(
      (t) => t.status === 0 && t.nodeId === nodeId && t.leaseSeq === wanted.get(t.seq),
    );
    const [gone, queued] = [locked.filter((t) => t.cancel), locked.filter((t) => !t.cancel)];
    for (const task of gone) task.status = EndCode.CANCELLED;
    for (const task of queued) {
      task.leaseSeq += 1;
      task.nodeId = 0;
      if (outcome !== 'lost') continue;
      task.losses += 1;
      task.expiresAtMs = 0;
    }
    return {
      seqs: queued.map((task) => task.seq),
      nextLeaseSeqs: queued.map((task) => task.leaseSeq),
      losses: queued.map((task) => task.losses),
      cancelledSeqs: gone.map((task) => task.seq),
    };
  }

  private bury(nodeId: number, isProven: boolean, guardMs: number): boolean {
    const node = this.nodes.get(nodeId);
    if (node?.state !== 'alive') return false;
    if (!isProven && node.untilMs + guardMs >= this.nowMs) return false;
    node.state = 'dead';
    return true;
  }

  private revive(seqs: readonly number[]): readonly number[] {
    const ended = this.found(seqs).filter((task) => task.status > EndCode.COMPLETED);
    for (const task of ended) {
      task.status = 0;
      task.leaseSeq += 1;
      task.revivals += 1;
      task.nodeId = task.attempt = task.losses = task.runAtMs = 0;
      task.cancel = false;
      task.expiresAtMs = task.ttlMs > 0 ? this.nowMs + task.ttlMs : 0;
    }
    return ended.map((task) => task.seq);
  }

  private found(seqs: readonly number[]): ModelTask[] {
    return seqs.flatMap((seq) => this.tasks.get(seq) ?? []);
  }

  private toNodeRow({ nodeId, name, state, untilMs }: NodeState): NodeRow {
    const identity = { bootId: 'b', pidNamespace: 'p', pid: nodeId, pidStarted: '1' };
    const isExpired = untilMs < this.nowMs;
    return {
      nodeId,
      name,
      state,
      isExpired,
      leaseUntilMs: untilMs,
      ...identity,
      processGroups: [],
      isDrainAsked: false,
    };
  }
}

function toPersisted(tasks: readonly ModelTask[]) {
  return { seqs: tasks.map((task) => task.seq), leaseSeqs: tasks.map((task) => task.leaseSeq) };
}

function toRows(tasks: readonly ModelTask[]): LiveRows {
  return {
    seqs: tasks.map((task) => task.seq),
    typeIds: tasks.map(() => 1),
    hasDuration: tasks.map(() => false),
    priorities: tasks.map((task) => task.priority),
    triggerRules: tasks.map((task) => task.rule),
    leaseSeqs: tasks.map((task) => task.leaseSeq),
    nodeIds: tasks.map((task) => task.nodeId),
    attempts: tasks.map((task) => task.attempt),
    losses: tasks.map((task) => task.losses),
    cancels: tasks.map((task) => task.cancel),
    runAtMs: tasks.map((task) => task.runAtMs),
    expectedMs: tasks.map(() => 1),
    deps: tasks.map((task) => task.deps),
    expiresAtMs: tasks.map((task) => task.expiresAtMs),
    labels: tasks.map(() => null),
  };
}
