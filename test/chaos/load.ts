import { systemClock } from '../../node/base/clock.ts';
import { Graphs } from './graphs.ts';
import type { Submission } from './graphs.ts';
import type { Seeded } from './seeded.ts';

/**
 * Clients that submit without pause to any node, and change their minds: cancels, retries, patches.
 *
 * Every submit carries ids, and goes out again, to another node, until it is answered: 201 is an
 * acknowledgement, and so is a 409 that says, after a try without an answer, that the very same is
 * there. What no node ever answers is not acknowledged, and may exist or not.
 */
export interface LoadDeps {
  readonly chance: Seeded;
  /** Of nodes that may or may not answer. */
  readonly urls: () => readonly string[];
  /** No more work, while this many tasks wait. */
  readonly isFull: () => boolean;
}

export interface LoadCounts {
  submitted: number;
  acknowledged: number;
  /** Submits that were sent more than once. */
  repeated: number;
  /** Acknowledged by a 409. */
  foundAgain: number;
  unanswered: number;
  cancels: number;
  retries: number;
  patches: number;
}

const CLIENTS = 4;
const ANSWER_MS = 4000;
/** How long a submit is tried when the run is over. */
const LAST_TRIES_MS = 20_000;
const RECENT = 400;
const ODDITIES_MAX = 50;

interface Answer {
  readonly url: string;
  readonly status: number;
  readonly text: string;
}

export class Load {
  readonly acknowledged = new Set<string>();
  /** Answers that no client should ever get, each a sentence. */
  readonly oddities: string[] = [];
  readonly counts: LoadCounts = {
    ...{ submitted: 0, acknowledged: 0, repeated: 0, foundAgain: 0, unanswered: 0 },
    ...{ cancels: 0, retries: 0, patches: 0 },
  };
  private readonly deps: LoadDeps;
  private readonly graphs: Graphs;
  private stopping = new AbortController().signal;
  private recent: string[] = [];
  private recentWorkflows: string[] = [];

  constructor(deps: LoadDeps) {
    this.deps = deps;
    this.graphs = new Graphs(deps.chance.fork());
  }

  /** Until the signal; what is under way then is tried a while longer, unless it is to stop at once. */
  async run(signal: AbortSignal, stop: AbortSignal): Promise<void> {
    this.stopping = stop;
    await Promise.all([
      ...Array.from({ length: CLIENTS }, () => this.submitAlways(signal)),
      this.changeAlways(signal),
    ]);
  }

  /** Sends a change until a node has answered it; says whether it did. */
  async insist(method: string, path: string, body: unknown, signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      const answer = await this.send(method, path, body);
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) return true;
      await systemClock.sleep(100);
    }
    return false;
  }

  private async submitAlways(signal: AbortSignal): Promise<void> {
    const { chance, isFull } = this.deps;
    while (!signal.aborted) {
      if (!isFull()) await this.submit(this.graphs.next(this.recent), signal);
      await systemClock.sleep(chance.between(10, 150));
    }
  }

  private async submit(submission: Submission, signal: AbortSignal): Promise<void> {
    this.counts.submitted += 1;
    const [path, body] = requestOf(submission);
    let giveUpMs = Infinity;
    for (let tries = 0; performance.now() < giveUpMs && !this.stopping.aborted; tries += 1) {
      if (tries === 1) this.counts.repeated += 1;
      const answer = await this.send('POST', path, body);
      if (signal.aborted && giveUpMs === Infinity) giveUpMs = performance.now() + LAST_TRIES_MS;
      if (answer?.status === 201) {
        this.acknowledge(submission);
        return;
      }
      if (answer?.status === 409 && tries > 0 && isSame(submission, answer.text)) {
        this.counts.foundAgain += 1;
        this.acknowledge(submission);
        return;
      }
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) {
        this.wonder(`POST ${path} of ${submission.ids[0] ?? ''}`, answer);
        return;
      }
      await systemClock.sleep(this.deps.chance.between(20, 300));
    }
    this.counts.unanswered += 1;
  }

  private acknowledge(submission: Submission): void {
    const { ids } = submission;
    this.counts.acknowledged += ids.length;
    for (const id of ids) this.acknowledged.add(id);
    this.recent = [...this.recent, ...ids].slice(-RECENT);
    if (submission.kind !== 'workflow') return;
    this.recentWorkflows = [...this.recentWorkflows, submission.id].slice(-20);
  }

  private async changeAlways(signal: AbortSignal): Promise<void> {
    const { chance } = this.deps;
    while (!signal.aborted) {
      await systemClock.sleep(chance.between(20, 250));
      if (this.recent.length > 0) await this.change(encodeURIComponent(chance.pick(this.recent)));
    }
  }

  private async change(id: string): Promise<void> {
    const { chance } = this.deps;
    const draw = chance.next();
    if (draw < 0.25) {
      this.counts.cancels += 1;
      await this.ask('POST', `/tasks/${id}/cancel`, undefined, [202, 409]);
    } else if (draw < 0.3 && this.recentWorkflows.length > 0) {
      this.counts.cancels += 1;
      const workflow = chance.pick(this.recentWorkflows);
      await this.ask('POST', `/workflows/${workflow}/cancel`, undefined, [202, 409]);
    } else if (draw < 0.65) {
      this.counts.retries += 1;
      await this.ask('POST', `/tasks/${id}/retry`, undefined, [202, 409]);
    } else {
      this.counts.patches += 1;
      const patch = chance.chance(0.5)
        ? { priority: chance.between(1, 100) }
        : { payload: { ms: chance.between(0, 40) }, run_at: null };
      await this.ask('PATCH', `/tasks/${id}`, patch, [200, 409]);
    }
  }

  /** A change that gets no answer is let be: it may be carried out or not. */
  private async ask(
    method: string,
    path: string,
    body: unknown,
    wanted: readonly number[],
  ): Promise<void> {
    const answer = await this.send(method, path, body);
    if (answer === undefined || answer.status >= 500 || answer.status === 429) return;
    if (!wanted.includes(answer.status)) this.wonder(`${method} ${path}`, answer);
  }

  private async send(method: string, path: string, body: unknown): Promise<Answer | undefined> {
    const url = this.deps.chance.pick(this.deps.urls());
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        signal: AbortSignal.timeout(ANSWER_MS),
        ...(body === undefined
          ? {}
          : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
      const answer = { url, status: response.status, text: await response.text() };
      if (answer.status === 500) this.wonder(`${method} ${path}`, answer);
      return answer;
    } catch {
      // Refused, reset, silent: another node may know better.
      return undefined;
    }
  }

  private wonder(what: string, { url, status, text }: Answer): void {
    if (this.oddities.length >= ODDITIES_MAX) return;
    this.oddities.push(`${what} at ${url} → ${String(status)} ${text.slice(0, 300)}`);
  }
}

function requestOf(submission: Submission): readonly [path: string, body: unknown] {
  switch (submission.kind) {
    case 'single':
      return ['/tasks', submission.task];
    case 'batch':
      return ['/tasks/batch', submission.tasks];
    case 'workflow':
      return ['/workflows', { id: submission.id, tasks: submission.tasks }];
  }
}

interface Conflict {
  readonly existing?: { readonly id?: string; readonly same_body?: boolean };
  readonly existing_count?: number;
}

/** Whether a 409 says that what exists is what was sent, all of it. */
function isSame(submission: Submission, text: string): boolean {
  const { existing, existing_count } = JSON.parse(text) as Conflict;
  switch (submission.kind) {
    case 'single':
      // A patch in between makes it another body; nobody else uses the id.
      return existing?.id === submission.ids[0];
    case 'batch':
      return existing_count === submission.ids.length;
    case 'workflow':
      return existing?.id === submission.id;
  }
}
