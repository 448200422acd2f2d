import { TRIGGER_RULE_NAMES } from '../../node/core/task.ts';
import { RESULT_KINDS } from './handlers.ts';
import type { Payload } from './handlers.ts';
import type { Seeded } from './seeded.ts';

/** Random work, as a client would send it. */
export interface TaskBody {
  readonly id: string;
  readonly type: string;
  readonly payload?: Payload;
  readonly duration_ms?: number;
  readonly dependencies?: readonly string[];
  readonly priority?: number;
  readonly max_attempts?: number;
  readonly backoff?: { readonly type: 'fixed' | 'exponential'; readonly base_ms: number };
  readonly timeout_ms?: number;
  readonly delay_ms?: number;
  readonly run_at?: string;
  readonly trigger_rule?: string;
}

export type Submission =
  | { readonly kind: 'single'; readonly task: TaskBody; readonly ids: readonly string[] }
  | { readonly kind: 'batch'; readonly tasks: readonly TaskBody[]; readonly ids: readonly string[] }
  | {
      readonly kind: 'workflow';
      readonly id: string;
      readonly tasks: readonly TaskBody[];
      /** As they are called outside the workflow. */
      readonly ids: readonly string[];
    };

const HOUR_MS = 3_600_000;
const PARENTS_MAX = 4;
/** Such a task runs only when somebody says so, or is cancelled: the load sees to one of them. */
export const SLEEPER_PREFIX = 'sleeper-';

export class Graphs {
  private readonly chance: Seeded;
  private count = 0;

  constructor(chance: Seeded) {
    this.chance = chance;
  }

  /** `known` are tasks that were acknowledged, on which new ones may depend. */
  next(known: readonly string[]): Submission {
    const { chance } = this;
    this.count += 1;
    const name = `g${String(this.count)}`;
    const draw = chance.next();
    if (draw < 0.08) return this.sleeper(name);
    if (draw < 0.4) {
      const task = this.task(name, this.parentsAmong(known));
      return { kind: 'single', task, ids: [name] };
    }
    const tasks = this.graph(draw < 0.75 ? `${name}-` : 't', known);
    const ids = tasks.map(({ id }) => id);
    if (draw < 0.75) return { kind: 'batch', tasks, ids };
    return { kind: 'workflow', id: name, tasks, ids: ids.map((id) => `${name}/${id}`) };
  }

  private sleeper(name: string): Submission {
    const id = `${SLEEPER_PREFIX}${name}`;
    const task: TaskBody = { id, ...this.deed(), delay_ms: HOUR_MS };
    return { kind: 'single', task, ids: [id] };
  }

  private graph(prefix: string, known: readonly string[]): readonly TaskBody[] {
    const { chance } = this;
    const size = chance.chance(0.1) ? chance.between(40, 120) : chance.between(2, 20);
    const tasks: TaskBody[] = [];
    for (let at = 0; at < size; at += 1) {
      const own = tasks.map(({ id }) => id);
      const parents = chance.chance(0.75) ? this.parentsAmong(own) : [];
      if (chance.chance(0.03)) parents.push(...this.parentsAmong(known.slice(-50)));
      tasks.push(this.task(`${prefix}${String(at)}`, parents));
    }
    return chance.shuffled(tasks);
  }

  private parentsAmong(ids: readonly string[]): string[] {
    if (ids.length === 0) return [];
    const count = this.chance.between(0, Math.min(PARENTS_MAX, ids.length));
    return [...new Set(Array.from({ length: count }, () => this.chance.pick(ids)))];
  }

  private task(id: string, dependencies: readonly string[]): TaskBody {
    const { chance } = this;
    return {
      id,
      ...this.deed(),
      ...(dependencies.length > 0 ? { dependencies } : {}),
      ...(chance.chance(0.3) ? { trigger_rule: chance.pick(TRIGGER_RULE_NAMES) } : {}),
      ...(chance.chance(0.3) ? { priority: chance.between(1, 100) } : {}),
      ...this.time(),
      backoff: { type: chance.pick(['fixed', 'exponential']), base_ms: chance.between(0, 200) },
    };
  }

  /** Mostly at once. */
  private time(): Pick<TaskBody, 'delay_ms' | 'run_at'> {
    const { chance } = this;
    const draw = chance.next();
    if (draw < 0.05) return { delay_ms: chance.between(0, 2000) };
    if (draw < 0.92) return {};
    return { run_at: new Date(Date.now() + chance.between(-1000, 2000)).toISOString() };
  }

  /** Mostly short; a few outlive the lease of a node that is cut off, and the start of the next run. */
  private milliseconds(): number {
    const { chance } = this;
    const draw = chance.next();
    if (draw < 0.02) return chance.between(3000, 6000);
    return draw < 0.05 ? chance.between(500, 3000) : chance.between(0, 60);
  }

  /** What it does: mostly a little, sometimes nothing good. */
  private deed(): Pick<
    TaskBody,
    'type' | 'payload' | 'duration_ms' | 'timeout_ms' | 'max_attempts'
  > {
    const { chance } = this;
    const draw = chance.next();
    const ms = this.milliseconds();
    const bounded = { timeout_ms: 1200, max_attempts: 2 };
    if (draw < 0.1) return { type: 'noop' };
    if (draw < 0.2) return { type: 'sleep', duration_ms: ms };
    if (draw < 0.72) return { type: 'work', payload: { ms } };
    if (draw < 0.82) {
      const fails = chance.between(1, 3);
      return { type: 'work', payload: { ms, fails }, max_attempts: chance.between(1, 4) };
    }
    if (draw < 0.84) return { type: 'work', payload: { ms, fatal: true } };
    if (draw < 0.95) return { type: 'work', payload: { ms, result: chance.pick(RESULT_KINDS) } };
    if (draw < 0.96) return { type: 'hang', payload: { ms: 0 }, ...bounded };
    const long = { ms: chance.between(800, 2500) };
    if (draw < 0.97) return { type: 'spin', payload: long, timeout_ms: 4000, max_attempts: 2 };
    if (draw < 0.985) return { type: 'leak', payload: long, max_attempts: 2 };
    return { type: 'die', payload: long, max_attempts: 4 };
  }
}
