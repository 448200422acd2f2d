import { Scheduler } from '../../node/core/scheduler.ts';
import { LAN } from '../../node/core/timings.ts';
import type { Laws } from './postgres/transaction.ts';
import { Nemesis } from './nemesis.ts';
import { addedId, planOf } from './plan.ts';
import { wrongEnds } from './reference.ts';
import { World } from './world.ts';
import { Workload } from './workload.ts';

/**
 * One seed, from its first event to its last. A safety phase, in which anything may go wrong and
 * nothing may be violated; then everything is healed, and everything must end.
 */
export interface SimulationOptions {
  readonly seed: number;
  readonly laws?: Laws;
  readonly trace?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  /** Violated invariants, each with its number; empty for a good run. */
  readonly faults: readonly string[];
  readonly counts: ReadonlyMap<string, number>;
  readonly tasks: number;
  readonly simulatedMs: number;
  readonly events: number;
}

/** After the heal: a lease and its guard, what backs off, and then some. */
const DRIFT_MAX = 1.01;
const HEAL_LIMIT_MS = 240_000;
const QUIET_MS = 3000;
const EVENTS_MAX = 2_000_000;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  const release = watchSchedulers(simulation.world);
  try {
    await simulation.run();
  } finally {
    release();
  }
  const { world } = simulation;
  return {
    seed: options.seed,
    faults: world.history.faults,
    counts: world.history.counts,
    tasks: world.history.acknowledged.size,
    simulatedMs: world.timeline.nowMs,
    events: world.timeline.happened,
  };
}

class Simulation {
  readonly world: World;
  private readonly untilMs: number;
  private readonly workload: Workload;
  private readonly nemesis: Nemesis;

  constructor(options: SimulationOptions) {
    const world = new World(options);
    this.world = world;
    // Where faults are rare there is time for a lease to run out before the next one.
    const pauseMs = world.pick([150, 700, 2500, 7000, 14_000]) ?? 700;
    this.untilMs = world.draw(3000, 25_000) + world.draw(0, 4 * pauseMs);
    const machines = world.whole(1, 3);
    const count = world.whole(2, 4);
    for (let at = 1; at <= count; at++) {
      world.startNode({
        name: `node-${String(at)}`,
        machine: `machine-${String(at % machines)}`,
        slots: world.whole(1, 6),
        types: at === 1 || world.chance(0.5) ? ['work', 'rare'] : ['work'],
      });
    }
    this.workload = new Workload(world, {
      tasks: world.whole(10, 120),
      meddles: world.chance(0.4),
      untilMs: this.untilMs,
      types: ['work', 'work', 'work', 'rare'],
    });
    this.nemesis = new Nemesis(world, this.untilMs, pauseMs);
  }

  async run(): Promise<void> {
    const { world } = this;
    this.workload.start();
    this.nemesis.start();
    const { untilMs, nemesis } = this;
    await this.goOn(() => world.timeline.nowMs >= Math.max(untilMs, nemesis.quietUntilMs));
    world.note('nemesis', 'heals everything');
    world.heal();
    const limitMs = world.timeline.nowMs + HEAL_LIMIT_MS;
    await this.goOn(() => this.isAllOver || world.timeline.nowMs >= limitMs);
    let overSinceMs = world.timeline.nowMs;
    // What a user asked of a node that was frozen may only come now, and then it is not over yet.
    const isQuiet = (): boolean => {
      if (!this.isAllOver) overSinceMs = world.timeline.nowMs;
      return (
        world.timeline.nowMs >= overSinceMs + QUIET_MS &&
        world.living.every(({ lives }) => lives.current !== undefined)
      );
    };
    await this.goOn(() => isQuiet() || world.timeline.nowMs >= limitMs + HEAL_LIMIT_MS);
    if (!this.isAllOver) this.sayWhatIsStuck();
    this.judgeTheEnd();
    for (const node of world.nodes) node.process.crash();
    await world.timeline.settle();
  }

  /** Lets the world go on until it is so; a fault ends it, because what follows would explain nothing. */
  private async goOn(isSo: () => boolean): Promise<void> {
    const { world } = this;
    const { faults } = world.history;
    while (faults.length === 0 && !isSo()) {
      if (!(await world.timeline.happen())) return;
      this.judgeBeliefs();
      if (world.timeline.happened > EVENTS_MAX) world.history.fault('I12', 'it never rests');
    }
  }

  private get isAllOver(): boolean {
    const { world, workload } = this;
    if (!workload.isAllSubmitted) return false;
    const { live, inbox } = world.server.data;
    return isEmpty(live.rows()) && isEmpty(inbox.rows());
  }

  /** I6: at no instant do two nodes trust that they lead. */
  private judgeBeliefs(): void {
    const { world } = this;
    const trusting = world.nodes.filter(({ process, lives }) => {
      const untilMs = process.isDead ? null : (lives.current?.leadsUntilMs ?? null);
      return untilMs !== null && process.clock.monotonicMs() < untilMs;
    });
    if (trusting.length < 2) return;
    const sinceForcedMs = world.timeline.nowMs - world.server.lockForcedAtMs;
    if (sinceForcedMs < LAN.selfDemoteMs * DRIFT_MAX) return;
    const names = trusting.map((node) => node.facts.name).join(' and ');
    world.history.fault('I6', `${names} both believe that they lead`);
  }

  private sayWhatIsStuck(): void {
    const { world } = this;
    if (world.history.faults.length > 0) return;
    const { live, inbox } = world.server.data;
    const left = [...live.rows()].map((row) => JSON.stringify(row));
    const asked = [...inbox.rows()].map((row) => JSON.stringify(row));
    const what = this.workload.isAllSubmitted ? '' : 'a submit without an answer; ';
    world.history.fault('I2', `${what}still live: ${left.join()}; inbox: ${asked.join()}`);
  }

  /** I2, I9, I10 and I12, when all is quiet. */
  private judgeTheEnd(): void {
    const { world } = this;
    const { history, server } = world;
    if (history.faults.length > 0) return;
    const { data } = server;
    for (const id of history.acknowledged) {
      const task = data.task.get(data.taskId.get(id) ?? 0);
      if (task === undefined || task.status === 0) history.fault('I2', `${id} was lost`);
    }
    for (const task of data.task.rows()) {
      const isListed = data.notCompleted.get(task.seq)?.status ?? 1;
      if (task.status !== isListed)
        history.fault('I2', `${task.id} is listed as ${String(isListed)}`);
      const wasMeddled = history.revived.size > 0;
      if (task.status === 4 && !wasMeddled && history.verdict(task) !== 'skip') {
        history.fault('I4', `${task.id} was skipped though its rule says ${history.verdict(task)}`);
      }
    }
    this.judgeWhatWasAdded();
    if (server.deadlocks > 0) history.fault('I12', `${String(server.deadlocks)} deadlocks`);
    if (history.revived.size === 0) {
      for (const fault of wrongEnds([...data.task.rows()])) history.fault('I4', fault);
    }
    const hasLost = [...data.attempt.rows()].some(({ outcome }) => outcome === 'lost');
    if (this.nemesis.isGentle && hasLost) history.fault('I12', 'a lease was lost without need');
    for (const node of world.living) this.judgeNode(node.facts.name);
  }

  /** I13: what has completed has added all that it was to add. */
  private judgeWhatWasAdded(): void {
    const { history, server } = this.world;
    const { data } = server;
    for (const { id, status, payload } of data.task.rows()) {
      const { adds } = planOf(JSON.parse(payload ?? '{"adds":[]}'));
      const missing = adds.findIndex(
        (_, place) => data.taskId.get(addedId(id, place)) === undefined,
      );
      if (status === 1 && missing !== -1)
        history.fault('I13', `${addedId(id, missing)} is not there`);
    }
  }

  /** Nothing is held, and nothing is left to tell. */
  private judgeNode(name: string): void {
    const { history, nodes } = this.world;
    const life = nodes.find((node) => node.facts.name === name)?.lives.current;
    if (life === undefined) {
      history.fault('I2', `${name} has no life after all was healed`);
      return;
    }
    if (life.heldCount > 0) history.fault('I12', `${name} holds ${String(life.heldCount)} leases`);
    if (!life.contact.isAllTold) history.fault('I12', `${name} has outcomes that it never told`);
  }
}

/** I9: what a scheduler derives is derived again after each of its steps. */
function watchSchedulers(world: World): () => void {
  type Step = (
    this: Scheduler,
    ...args: Parameters<Scheduler['step']>
  ) => ReturnType<Scheduler['step']>;
  const step: Step = Reflect.get<Scheduler, 'step'>(Scheduler.prototype, 'step');
  Scheduler.prototype.step = function (nowMs, events) {
    const effects = step.call(this, nowMs, events);
    for (const fault of this.validate()) world.history.fault('I9', fault);
    return effects;
  };
  return () => {
    Scheduler.prototype.step = step;
  };
}

function isEmpty(rows: Generator): boolean {
  return rows.next().done === true;
}
