import fc from 'fast-check';
import type { TriggerRuleCode } from '../../node/core/task.ts';
import { GraphReference } from './graph-reference.ts';
import { World } from './model-world.ts';

/**
 * A random graph with its plans, what users ask of it and when, and the seed of everything that may
 * happen in any order; run by the leader's real parts over the model of the database (model-world.ts).
 */
export interface GraphCase {
  readonly seed: number;
  readonly slots: number;
  /** Lost connections and streams, dead nodes, new leaders: so many. */
  readonly troubles: number;
  readonly tasks: readonly TaskCase[];
  readonly asks: readonly AskCase[];
}

interface TaskCase {
  /** Earlier tasks, by how many places before this one. */
  readonly deps: readonly number[];
  readonly rule: number;
  /** By life: the tries that fail before one completes. */
  readonly failures: readonly number[];
  readonly maxAttempts: number;
  readonly ttlMs: number;
}

interface AskCase {
  /** It is asked after so many things have happened since the one before. */
  readonly pause: number;
  readonly what: 'cancel' | 'retry' | 'cancel-all' | 'retry-all' | 'patch';
  readonly at: number;
  readonly isBulk: boolean;
}

const TASKS_MAX = 14;
const MOVES_MAX = 40_000;

const taskCase = fc.record<TaskCase>({
  deps: fc.uniqueArray(fc.integer({ min: 1, max: TASKS_MAX }), { maxLength: 4 }),
  rule: fc.integer({ min: 0, max: 4 }),
  failures: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 3 }),
  maxAttempts: fc.integer({ min: 1, max: 3 }),
  ttlMs: fc.oneof({ weight: 7, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 600 })),
});
const askCase = fc.record<AskCase>({
  pause: fc.integer({ min: 0, max: 80 }),
  what: fc.constantFrom('cancel', 'cancel', 'retry', 'retry', 'cancel-all', 'retry-all', 'patch'),
  at: fc.nat({ max: 1000 }),
  isBulk: fc.boolean(),
});

export const graphCase: fc.Arbitrary<GraphCase> = fc.record<GraphCase>({
  seed: fc.integer({ min: 1, max: 2_000_000_000 }),
  slots: fc.integer({ min: 1, max: 3 }),
  troubles: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 6 })),
  tasks: fc.array(taskCase, { minLength: 1, maxLength: TASKS_MAX }),
  asks: fc.oneof(
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 3, arbitrary: fc.array(askCase, { minLength: 1, maxLength: 8 }) },
  ),
});

/** Runs it to its end; answers what should not have been. */
export class GraphStory {
  readonly world: World;
  private readonly given: GraphCase;
  private readonly reference = new GraphReference();
  private asksLeft: readonly AskCase[];
  private troublesLeft: number;
  private movesSinceAsk = 0;

  constructor(given: GraphCase) {
    this.given = given;
    this.asksLeft = given.asks;
    this.troublesLeft = given.troubles;
    this.world = new World(given.seed);
    this.world.isCalm = given.troubles === 0;
    for (let node = 0; node < 2; node++) this.world.join(given.slots);
    this.world.elect();
  }

  async run(): Promise<readonly string[]> {
    const { world, reference } = this;
    this.submit();
    this.observe();
    for (let move = 0; !this.isOver && this.faults.length === 0; move++) {
      if (move === MOVES_MAX) {
        world.faults.push('it does not end');
        break;
      }
      this.moveOnce();
      this.observe();
      await world.settleDown();
    }
    if (this.faults.length === 0) reference.conclude();
    await world.end();
    return this.faults;
  }

  private get faults(): readonly string[] {
    return [...this.world.faults, ...this.reference.faults];
  }

  private get isOver(): boolean {
    const { live, inbox } = this.world.database;
    return this.asksLeft.length + this.troublesLeft + live.length + inbox.length === 0;
  }

  private observe(): void {
    const { database } = this.world;
    for (const task of database.tasks.values()) {
      const { failures = [] } = this.given.tasks[task.seq - 1] ?? {};
      task.failures = failures[Math.min(task.revivals, failures.length - 1)] ?? 0;
    }
    const { inbox, nowMs } = database;
    this.reference.observe({ tasks: database.tasks.values(), inbox, nowMs });
  }

  private moveOnce(): void {
    const { world } = this;
    this.movesSinceAsk += 1;
    const [ask] = this.asksLeft;
    if (ask !== undefined && (this.movesSinceAsk > ask.pause || this.isIdle)) {
      this.asksLeft = this.asksLeft.slice(1);
      this.movesSinceAsk = 0;
      this.ask(ask);
      return;
    }
    if (this.troublesLeft > 0 && (world.chance(0.02) || this.isIdle)) {
      this.troublesLeft -= 1;
      this.trouble();
      return;
    }
    const { moves } = world;
    if (moves.length === 0 || world.chance(0.05)) world.advance();
    else world.pick(moves)();
  }

  /** Nothing is left to do but what is still to be asked. */
  private get isIdle(): boolean {
    const { live, inbox } = this.world.database;
    return live.length + inbox.length === 0;
  }

  private submit(): void {
    const { database } = this.world;
    const { tasks } = this.given;
    for (const [at, { deps, rule, failures, maxAttempts, ttlMs }] of tasks.entries()) {
      const parents = deps.map((places) => at + 1 - places).filter((seq) => seq > 0);
      database.add({
        ...{ seq: at + 1, deps: parents, rule: rule as TriggerRuleCode, maxAttempts, ttlMs },
        ...{ failures: failures[0] ?? 0, leases: 0, revivals: 0, priority: 50, runAtMs: 0 },
      });
    }
    this.tell('submitted', [...database.tasks.keys()], false);
  }

  /** As the statements of the store do: only of what is as the user's call needs it. */
  private ask({ what, at, isBulk }: AskCase): void {
    const tasks = [...this.world.database.tasks.values()];
    const live = tasks.filter(({ status }) => status === 0).map(({ seq }) => seq);
    const ended = tasks.filter(({ status }) => status > 1).map(({ seq }) => seq);
    const among = what === 'retry' || what === 'retry-all' ? ended : live;
    const seqs = what.endsWith('-all') ? among : among.slice(at % (among.length || 1)).slice(0, 1);
    if (seqs.length === 0) return;
    if (what !== 'patch') {
      this.tell(what.startsWith('cancel') ? 'cancel' : 'retry', seqs, isBulk);
      return;
    }
    const task = this.world.database.tasks.get(seqs[0] as number);
    if (task === undefined || task.nodeId !== 0 || task.cancel) return;
    task.runAtMs = this.world.database.nowMs + (at % 300);
    this.tell('patched', seqs, false);
  }

  private tell(
    kind: Parameters<World['database']['ask']>[0],
    seqs: readonly number[],
    isBulk: boolean,
  ): void {
    const { world } = this;
    world.database.ask(kind, seqs, isBulk);
    const living = world.nodes.filter((node) => !node.isDead);
    if (world.chance(0.8)) world.pick(living).contact.look();
  }

  private trouble(): void {
    const { world } = this;
    const leader = world.offices.at(-1);
    const victim = world.pick(world.nodes.filter((node) => !node.isDead));
    const troubles = [
      () => leader?.reads.lose(world.chance(0.5)),
      () => leader?.writes.lose(world.chance(0.5)),
      () => {
        world.breakStream();
      },
      () => {
        victim.die();
        world.join(this.given.slots);
      },
      () => {
        world.elect();
      },
      () => {
        if (world.offices[0] !== undefined) world.retire(world.offices[0]);
        if (world.offices.length === 0) world.elect();
      },
    ];
    world.pick(troubles)();
  }
}
