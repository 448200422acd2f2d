import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { HandlerContext, HandlerLog, TaskInput } from '../core/handler.ts';
import type { Halt } from './halt.ts';
import { toInput } from './outcome.ts';
import type { RunReportsPort, SpawnPort, Work } from './ports.ts';
import { Reporter } from './reporter.ts';
import { maskedReports, type Mask } from './secrets.ts';

/** One lease of one task, about to run. */
export interface Run {
  readonly work: Work;
  /** Charged tries, this one included. */
  readonly attempt: number;
  readonly leaseSeq: number;
  /** Leases lost before: above 0 the task runs in a process of its own (rule 17). */
  readonly losses: number;
  /** Deaths of such processes under this task. */
  readonly deaths: number;
  /** It holds no slot: it waits where it runs, behind those that do. */
  readonly isAhead?: boolean;
  readonly halt: Halt;
  /** Takes secrets out of what the run says; undefined where it was told none. */
  readonly mask?: Mask;
}

/** Runs one task where it may not harm the node. */
export interface Isolation {
  /**
   * The result as JSON text; rejects with an `Interruption` where the lease of the node ended it.
   * `onBegun` hears when the handler runs: before, the task may wait for a place and for the database.
   * What the handler asks and says goes through `context`.
   */
  run(run: Run, context: RunContext, onBegun: () => void): Promise<string>;
  /** Whether tasks of this type are so quick that some may wait there, ahead of a free slot. */
  goesAhead?(type: string): boolean;
  /** Ends at once whatever runs; true when nothing of it is left, false when that is not certain. */
  stop(): Promise<boolean>;
}

const SPAWN_BYTES_MAX = 4 * 1024 * 1024;

export interface RunContextDeps {
  readonly clock: Clock;
  readonly reports: RunReportsPort;
  readonly results: (seq: number) => Promise<ReadonlyMap<string, string>>;
  readonly spawn: SpawnPort;
}

/**
 * What a handler sees of its run. Each part is made when it is asked for, as most tasks ask for none:
 * one that does nothing costs a node a few microseconds in all. They are getters, so that a handler may
 * take the context apart.
 */
export class RunContext implements HandlerContext {
  /** How long it ran, as that was measured where it ran. */
  ranMs: number | undefined;
  private readonly run: Run;
  private readonly deps: RunContextDeps;
  private input: TaskInput | undefined;
  private ownReporter: Reporter | undefined;
  /** Tasks that this attempt has added. */
  private spawned = 0;
  private spawning: Promise<unknown> = Promise.resolve();

  constructor(run: Run, deps: RunContextDeps) {
    this.run = run;
    this.deps = deps;
  }

  get task(): TaskInput {
    this.input ??= toInput(this.run.work);
    return this.input;
  }

  get signal(): AbortSignal {
    return this.run.halt.signal;
  }

  get attempt(): number {
    return this.run.attempt;
  }

  get fencingToken(): number {
    return this.run.leaseSeq;
  }

  get log(): HandlerLog {
    return this.reporter.log;
  }

  get sleep(): HandlerContext['sleep'] {
    return (ms) => this.deps.clock.sleep(ms, this.signal);
  }

  get progress(): HandlerContext['progress'] {
    return (fraction, note) => {
      this.reporter.progress(fraction, note);
    };
  }

  get results(): HandlerContext['results'] {
    return async () => JSON.parse(await this.resultsText()) as Readonly<Record<string, unknown>>;
  }

  get spawn(): HandlerContext['spawn'] {
    return async (tasks) => JSON.parse(await this.spawnText(JSON.stringify(tasks))) as string[];
  }

  get reporter(): Reporter {
    const { run, deps } = this;
    const { seq, id } = run.work;
    const { attempt, leaseSeq } = run;
    const { mask } = run;
    const reports = mask === undefined ? deps.reports : maskedReports(deps.reports, mask);
    this.ownReporter ??= new Reporter({ seq, leaseSeq, id, attempt }, reports, () =>
      deps.clock.monotonicMs(),
    );
    return this.ownReporter;
  }

  /** Of the tasks, as JSON text, the ids, as JSON text. One call after the other: their places count. */
  async spawnText(text: string): Promise<string> {
    const { seq, id } = this.run.work;
    if ((this.run.mask?.(text) ?? text) !== text) {
      throw errors.invalid([
        { pointer: '#', detail: 'must not contain a secret; hand on its secretRef' },
      ]);
    }
    if (Buffer.byteLength(text) > SPAWN_BYTES_MAX) {
      throw errors.tooLarge('what is added at once', `${String(SPAWN_BYTES_MAX)} bytes (4 MiB)`);
    }
    const turn = this.spawning.then(async () => {
      this.signal.throwIfAborted();
      const parent = { seq, id, leaseSeq: this.run.leaseSeq };
      const ids = await this.deps.spawn(parent, JSON.parse(text), this.spawned);
      this.spawned += ids.length;
      return JSON.stringify(ids);
    });
    this.spawning = turn.catch(() => undefined);
    return turn;
  }

  /** An object of all of them, put together as text: nobody here looks into them. */
  async resultsText(): Promise<string> {
    const results = await this.deps.results(this.run.work.seq);
    return `{${[...results].map(([id, text]) => `${JSON.stringify(id)}:${text}`).join(',')}}`;
  }
}
