import { systemClock } from '../../node/base/clock.ts';
import type { Ledger } from './ledger.ts';

/**
 * Work without pause: a client that keeps some tasks waiting at all times, whatever becomes of the nodes.
 * Each submit carries ids, and goes out again, to another node, until it is answered: 201 is an
 * acknowledgement, and so is a 409 that says, after a try without an answer, that all of it is there.
 */
export interface FlowTask {
  readonly id: string;
  readonly type: string;
  readonly duration_ms?: number;
  readonly dependencies?: readonly string[];
  readonly priority?: number;
  readonly run_at?: string;
}

export interface FlowOptions {
  readonly ledger: Ledger;
  /** Of the nodes whose processes live, frozen ones included. */
  readonly urls: () => readonly string[];
  /** Tasks that are not ended yet, running ones included. */
  readonly backlog: number;
  /** A few tasks under names that begin so; they may depend on each other. */
  readonly group: (prefix: string) => readonly FlowTask[];
}

const ANSWER_MS = 5000;
const LOOK_MS = 30;
const GROUPS_A_BATCH = 12;

export class Flow {
  readonly acknowledged: string[] = [];
  /** Answers that no client should get, each a sentence. */
  readonly oddities: string[] = [];
  private readonly options: FlowOptions;
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();
  private groups = 0;
  private turn = 0;

  constructor(options: FlowOptions) {
    this.options = options;
  }

  start(): void {
    this.running = this.run();
    // A failure is heard when it is stopped.
    this.running.catch(() => undefined);
  }

  /** What is under way is submitted still. */
  async stop(): Promise<void> {
    this.stopping.abort(new Error('the flow is stopped'));
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      const isShort = await this.isShort();
      if (isShort) await this.submit();
      else await systemClock.sleep(LOOK_MS, signal).catch(() => undefined);
    }
  }

  /** While the database is away nobody knows, and nothing can be submitted. */
  private async isShort(): Promise<boolean> {
    const { ledger, backlog } = this.options;
    const ended = await ledger.ended().catch(() => Infinity);
    return this.acknowledged.length - ended < backlog;
  }

  private async submit(): Promise<void> {
    const tasks = Array.from({ length: GROUPS_A_BATCH }, () => {
      this.groups += 1;
      return this.options.group(`f${String(this.groups)}`);
    }).flat();
    const body = JSON.stringify(tasks);
    for (let tries = 0; ; tries += 1) {
      const answer = await this.post(body);
      if (answer?.status === 201 || (tries > 0 && isWhole(answer, tasks.length))) break;
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) {
        this.oddities.push(
          `a batch was answered ${String(answer.status)} ${answer.text.slice(0, 300)}`,
        );
        return;
      }
      await systemClock.sleep(LOOK_MS);
    }
    for (const { id } of tasks) this.acknowledged.push(id);
  }

  private async post(body: string): Promise<Answer | undefined> {
    const urls = this.options.urls();
    this.turn += 1;
    try {
      const response = await fetch(`${urls[this.turn % urls.length] ?? ''}/tasks/batch`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      return { status: response.status, text: await response.text() };
    } catch {
      // Refused, reset or silent: the next node may answer.
      return undefined;
    }
  }
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function isWhole(answer: Answer | undefined, count: number): boolean {
  if (answer?.status !== 409) return false;
  return (JSON.parse(answer.text) as { existing_count?: number }).existing_count === count;
}

/** One, two that follow it, and one that follows both; each sleeps for a time drawn from a range. */
export function diamond(minMs: number, maxMs: number): FlowOptions['group'] {
  const task = (id: string, ...dependencies: readonly string[]): FlowTask => ({
    ...{ id, type: 'sleep', dependencies },
    duration_ms: Math.round(minMs + Math.random() * (maxMs - minMs)),
  });
  return (prefix) => {
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => `${prefix}-${name}`) as [
      string,
      string,
      string,
      string,
    ];
    return [task(a), task(b, a), task(c, a), task(d, b, c)];
  };
}
