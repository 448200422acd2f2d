import { expect } from 'chai';
import type { Effect, LeaseClaim, LiveRows, SchedulerEvent } from '../../node/core/events.ts';
import { SettledAs, type Told } from '../../node/core/messages.ts';
import { Scheduler } from '../../node/core/scheduler.ts';
import { TriggerRule, type TriggerRuleName } from '../../node/core/task.ts';

/** One task as a test writes it; everything left out has the default of a submit. */
export interface TaskSketch {
  readonly seq: number;
  readonly deps?: readonly number[];
  readonly type?: number;
  readonly priority?: number;
  readonly rule?: TriggerRuleName;
  readonly expectedMs?: number;
  readonly runAtMs?: number;
  readonly leaseSeq?: number;
  readonly nodeId?: number;
  readonly cancel?: boolean;
  readonly hasDuration?: boolean;
  readonly expiresAtMs?: number;
  readonly labels?: readonly string[];
}

export function rowsOf(...tasks: readonly TaskSketch[]): LiveRows {
  return {
    seqs: tasks.map((t) => t.seq),
    typeIds: tasks.map((t) => t.type ?? 1),
    hasDuration: tasks.map((t) => t.hasDuration ?? false),
    priorities: tasks.map((t) => t.priority ?? 50),
    triggerRules: tasks.map((t) => TriggerRule[t.rule ?? 'all_success']),
    leaseSeqs: tasks.map((t) => t.leaseSeq ?? 0),
    nodeIds: tasks.map((t) => t.nodeId ?? 0),
    attempts: tasks.map(() => 0),
    losses: tasks.map(() => 0),
    cancels: tasks.map((t) => t.cancel ?? false),
    runAtMs: tasks.map((t) => t.runAtMs ?? 0),
    expectedMs: tasks.map((t) => t.expectedMs ?? 0),
    deps: tasks.map((t) => t.deps ?? []),
    expiresAtMs: tasks.map((t) => t.expiresAtMs ?? 0),
    labels: tasks.map((t) => t.labels ?? null),
  };
}

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

/** A scheduler whose invariants are checked after every step, and the effects of the last one. */
export class Bench {
  readonly scheduler = new Scheduler();
  nowMs = 1_000_000;
  effects: readonly Effect[] = [];

  step(...events: readonly SchedulerEvent[]): this {
    this.effects = this.scheduler.step(this.nowMs, events);
    expect(this.scheduler.validate(), 'invariants').to.deep.equal([]);
    return this;
  }

  load(...tasks: readonly TaskSketch[]): this {
    return this.step({ kind: 'tasks-loaded', rows: rowsOf(...tasks) });
  }

  join(
    nodeId: number,
    slots: number,
    typeIds: readonly number[] = [1],
    labels: readonly string[] = [],
  ): this {
    const member = { nodeId, slots, typeIds, simulates: false, labels };
    return this.step({ kind: 'node-joined', member });
  }

  effect<Kind extends Effect['kind']>(kind: Kind): EffectOf<Kind> | undefined {
    return this.effects.find((effect): effect is EffectOf<Kind> => effect.kind === kind);
  }

  /** The tasks that this step asks leases for, in their order. */
  get leased(): readonly number[] {
    return this.effect('persist-leases')?.seqs ?? [];
  }

  /** Answers the leases of the last step as the database would: all of them granted. */
  grant(): this {
    const asked = this.effect('persist-leases');
    if (asked === undefined) return this.step();
    return this.step({
      kind: 'leases-persisted',
      asked: asked.seqs,
      seqs: asked.seqs,
      leaseSeqs: asked.leaseSeqs.map((leaseSeq) => leaseSeq + 1),
    });
  }

  /** What was claimed is live, and as given. */
  reread(claims: readonly LeaseClaim[], ...tasks: readonly TaskSketch[]): this {
    const none = { endedSeqs: [], endedCodes: [], endedLeaseSeqs: [] };
    return this.step({ kind: 'tasks-reread', claims, rows: rowsOf(...tasks), ...none });
  }

  settle(nodeId: number, seq: number, leaseSeq: number, settledAs: SettledAs, runAtMs = 0): this {
    return this.step({
      kind: 'outcomes-settled',
      nodeId,
      told: tell({ seq, leaseSeq, settledAs, runAtMs }),
    });
  }
}

export function tell(outcome: {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly settledAs: SettledAs;
  readonly runAtMs?: number;
  readonly runMs?: number;
}): Told {
  const { seq, leaseSeq, settledAs, runAtMs = 0, runMs = -1 } = outcome;
  const isQueued = settledAs === SettledAs.RETRY || settledAs === SettledAs.RELEASED;
  return {
    number: 1,
    seqs: [seq],
    leaseSeqs: [leaseSeq],
    settledAs: [settledAs],
    nextLeaseSeqs: [isQueued ? leaseSeq + 1 : 0],
    attempts: [settledAs === SettledAs.RELEASED ? 0 : 1],
    runAtMs: [runAtMs],
    runMs: [runMs],
  };
}
