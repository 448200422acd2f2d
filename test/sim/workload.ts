import type { NewTask } from './postgres/submissions.ts';
import type { AddedPlan, Plan } from './plan.ts';
import type { Row } from '../../node/store/pipeline.ts';
import type { World } from './world.ts';

/**
 * Clients: they submit random graphs, and now and then cancel, retry and edit what they submitted. An
 * answer that does not come makes them ask again, with the same ids, whichever node they find; what was
 * answered is acknowledged, and must end.
 */
export interface WorkloadSettings {
  readonly tasks: number;
  /** Cancels, retries and edits beside the submits. */
  readonly meddles: boolean;
  readonly untilMs: number;
  readonly types: readonly string[];
}

const ANSWER_MS = 4000;
const BACKOFF_MS = 300;
/** Tasks that add others while they run. */
const ADDS_SHARE = 0.08;

export class Workload {
  private readonly world: World;
  private readonly settings: WorkloadSettings;
  private submitted = 0;
  private readonly ids: string[] = [];
  /** Submits without an answer. */
  private open = 0;

  constructor(world: World, settings: WorkloadSettings) {
    this.world = world;
    this.settings = settings;
  }

  get isAllSubmitted(): boolean {
    return this.submitted >= this.settings.tasks && this.open === 0;
  }

  start(): void {
    this.nextSubmit();
    if (!this.settings.meddles) return;
    this.nextMeddling();
    this.world.history.onAdding = (seq) => this.maybeCancel(seq);
  }

  private nextSubmit(): void {
    const { world, settings } = this;
    const left = settings.tasks - this.submitted;
    if (left <= 0) return;
    // Batches hold some eight tasks; the last submit must not come long after everything was healed.
    const meanMs = Math.min((settings.untilMs * 8) / settings.tasks, settings.untilMs / 12);
    const pauseMs = world.draw(0, 2 * meanMs);
    world.timeline.after(pauseMs, () => {
      const count = Math.min(left, world.chance(0.4) ? 1 : world.whole(2, 20));
      this.submitted += count;
      this.open += 1;
      this.submit(this.graph(count));
      this.nextSubmit();
    });
  }

  /** Tasks in any order, each depending on earlier ones of its batch and of stored ones. */
  private graph(count: number): readonly NewTask[] {
    const { world } = this;
    const isApart = world.chance(0.6);
    const stored = isApart ? [] : this.ids.filter((id) => world.history.acknowledged.has(id));
    const tasks: NewTask[] = [];
    for (let at = 0; at < count; at++) {
      const before = [...tasks.map(({ id }) => id), ...stored.slice(-10)];
      const parents = new Set<string>();
      const width = before.length === 0 || world.chance(0.3) ? 0 : world.whole(1, 4);
      for (let edge = 0; edge < width; edge++) parents.add(world.pick(before) as string);
      const id = `t${String(this.ids.length)}`;
      this.ids.push(id);
      tasks.push(this.task(id, [...parents]));
    }
    return world.chance(0.3) ? tasks.toReversed() : tasks;
  }

  private task(id: string, dependencies: readonly string[]): NewTask {
    const { world, settings } = this;
    const adds = world.chance(ADDS_SHARE) ? this.added(world.whole(1, 5), true) : [];
    const plan: Plan = { ...this.plan(), adds };
    return {
      id,
      type: world.pick(settings.types) as string,
      payload: JSON.stringify(plan),
      priority: world.whole(1, 100),
      maxAttempts: world.whole(1, 4),
      rule: world.chance(0.6) ? 0 : world.whole(0, 4),
      expectedMs: Math.max(1, plan.ms),
      timeoutMs: world.chance(0.05) ? world.draw(5, 2000) : null,
      ttlMs: world.chance(0.08) ? world.draw(1, 4000) : null,
      backoffBaseMs: world.chance(0.5) ? 0 : world.draw(1, 1500),
      delayMs: world.chance(0.1) ? world.draw(1, 3000) : 0,
      dependencies,
    };
  }

  private plan(): Omit<Plan, 'adds'> {
    const { world } = this;
    return {
      ms: world.chance(0.7) ? world.draw(0, 20) : world.draw(20, 4000),
      failures: world.pick([...Array<number>(14).fill(0), 1, 1, 1, 2, 5, -1]) as number,
      kills: world.chance(0.03),
    };
  }

  /** Tasks that a task adds, now and then one that adds others again. */
  private added(count: number, mayAdd: boolean): readonly AddedPlan[] {
    const { world, settings } = this;
    return Array.from({ length: count }, (_, place) => ({
      ...this.plan(),
      adds: mayAdd && world.chance(ADDS_SHARE) ? this.added(world.whole(1, 3), false) : [],
      type: world.pick(settings.types) as string,
      after: [
        ...(world.chance(0.2) ? (['parent'] as const) : []),
        ...(place > 0 && world.chance(0.3) ? [world.whole(0, place - 1)] : []),
      ],
    }));
  }

  private submit(tasks: readonly NewTask[]): void {
    this.ask('submissions.submit', [tasks], (answer) => {
      const isThere = 'rows' in answer || answer.error.message === 'exist';
      if (!isThere) {
        this.world.timeline.after(this.world.draw(0, 2 * BACKOFF_MS), () => {
          this.submit(tasks);
        });
        return;
      }
      this.open -= 1;
      for (const { id } of tasks) this.world.history.acknowledged.add(id);
      this.world.history.count('rows' in answer ? 'submit stored' : 'submit found stored');
    });
  }

  private nextMeddling(): void {
    const { world, settings } = this;
    world.timeline.after(world.draw(50, 1500), () => {
      if (world.timeline.nowMs > settings.untilMs) return;
      this.meddle();
      this.nextMeddling();
    });
  }

  /** Mostly of what can still be cancelled, edited, or retried. */
  private meddle(): void {
    const { world } = this;
    const { data } = world.server;
    const what = world.pick(['cancel', 'retry', 'patch'] as const);
    const fit = [...(what === 'retry' ? data.notCompleted.rows() : data.live.rows())];
    const any = [...data.task.rows()];
    const seq = world.pick<{ readonly seq: number }>(world.chance(0.2) ? any : fit)?.seq;
    if (seq === undefined) return;
    const { clockMs } = world.server.data;
    const edit = [seq, world.whole(1, 100), false, null, world.chance(0.5), clockMs() + 400];
    this.ask(`task-changes.${what as string}`, what === 'patch' ? edit : [seq], (answer) => {
      if ('rows' in answer && answer.rows.length > 0) world.history.count(`user ${what as string}`);
    });
  }

  /** What adds tasks is cancelled in the middle of it now and then. */
  private maybeCancel(seq: number): void {
    const { world } = this;
    if (!world.chance(0.2)) return;
    world.timeline.after(world.draw(0, 10), () => {
      this.ask('task-changes.cancel', [seq], () => undefined);
    });
  }

  /** Asks some node; no answer in time is an error, and the answer that comes later is not heard. */
  private ask(
    name: string,
    values: readonly unknown[],
    onAnswer: (answer: { readonly rows: readonly Row[] } | { readonly error: Error }) => void,
  ): void {
    const { world } = this;
    let isAnswered = false;
    const answer = (found: Parameters<typeof onAnswer>[0]): void => {
      if (isAnswered) return;
      isAnswered = true;
      cancel();
      onAnswer(found);
    };
    const cancel = world.timeline.after(ANSWER_MS, () => {
      answer({ error: new Error('no answer') });
    });
    const node = world.pick(world.living);
    if (node === undefined) return;
    node.process.deliver(() => {
      node.ask(name, values).then(
        (rows) => {
          answer({ rows });
        },
        (error: unknown) => {
          answer({ error: error as Error });
        },
      );
    });
  }
}
