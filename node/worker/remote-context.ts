import type { Clock } from '../base/clock.ts';
import type { HandlerContext, HandlerLog, TaskInput } from '../core/handler.ts';
import type { Question } from './child-messages.ts';
import type { Halt } from './halt.ts';
import { fromThrown, toInput, type Thrown } from './outcome.ts';
import type { LogLine, RunReportsPort, Work } from './ports.ts';
import { Reporter } from './reporter.ts';

/** What a handler that runs elsewhere says and asks; its node hears it. */
export interface Line {
  lines(lines: readonly LogLine[]): void;
  progress(fraction: number, note: string | null): void;
  ask(number: number, question: Question): void;
}

interface Asked {
  readonly resolve: (text: string) => void;
  readonly reject: (error: Error) => void;
}

/** Of one task, each with up to 4 MiB: a handler that does not wait for its answers is told to. */
const ASKED_MAX = 100;

function ended(): Error {
  return new Error('the task has ended: its handler asks too late');
}

export interface RemoteRun {
  readonly work: Work;
  readonly attempt: number;
  readonly fencingToken: number;
  readonly halt: Halt;
}

/** What a handler sees of its run where that is in another thread or process than its node's. */
export class RemoteContext implements HandlerContext {
  readonly attempt: number;
  readonly fencingToken: number;
  private readonly remote: RemoteRun;
  private readonly line: Line;
  private readonly clock: Clock;
  private input: TaskInput | undefined;
  private ownReporter: Reporter | undefined;
  private readonly asked = new Map<number, Asked>();
  private questions = 0;
  private hasEnded = false;
  private resultsRead: Promise<Readonly<Record<string, unknown>>> | undefined;

  constructor(remote: RemoteRun, line: Line, clock: Clock) {
    this.remote = remote;
    this.line = line;
    this.clock = clock;
    this.attempt = remote.attempt;
    this.fencingToken = remote.fencingToken;
  }

  get task(): TaskInput {
    this.input ??= toInput(this.remote.work);
    return this.input;
  }

  get signal(): AbortSignal {
    return this.remote.halt.signal;
  }

  get log(): HandlerLog {
    return this.reporter.log;
  }

  get sleep(): HandlerContext['sleep'] {
    return (ms) => this.clock.sleep(ms, this.signal);
  }

  get progress(): HandlerContext['progress'] {
    return (fraction, note) => {
      this.reporter.progress(fraction, note);
    };
  }

  get results(): HandlerContext['results'] {
    return () => this.readResults();
  }

  get spawn(): HandlerContext['spawn'] {
    return async (tasks) =>
      JSON.parse(await this.ask({ what: 'spawn', text: JSON.stringify(tasks) })) as string[];
  }

  answered(number: number, text: string): void {
    this.asked.get(number)?.resolve(text);
    this.asked.delete(number);
  }

  refused(number: number, thrown: Thrown): void {
    this.asked.get(number)?.reject(fromThrown(thrown));
    this.asked.delete(number);
  }

  /** The run is over: whoever still waits for an answer, or asks later, is told so. */
  end(): void {
    this.hasEnded = true;
    for (const { reject } of this.asked.values()) reject(ended());
    this.asked.clear();
  }

  /** The same ones however often they are asked for. */
  private readResults(): Promise<Readonly<Record<string, unknown>>> {
    this.resultsRead ??= this.ask({ what: 'results' }).then(
      (text) => JSON.parse(text) as Readonly<Record<string, unknown>>,
    );
    return this.resultsRead;
  }

  private ask(question: Question): Promise<string> {
    if (this.hasEnded) return Promise.reject(ended());
    if (this.asked.size >= ASKED_MAX) {
      return Promise.reject(
        new Error(`more than ${String(ASKED_MAX)} questions wait for an answer`),
      );
    }
    this.questions += 1;
    const number = this.questions;
    return new Promise((resolve, reject) => {
      this.asked.set(number, { resolve, reject });
      this.line.ask(number, question);
    });
  }

  private get reporter(): Reporter {
    const { work, attempt, fencingToken: leaseSeq } = this.remote;
    const { seq, id } = work;
    const port: RunReportsPort = {
      lines: (_run, lines) => this.line.lines(lines),
      progress: (_run, fraction, note) => this.line.progress(fraction, note),
    };
    this.ownReporter ??= new Reporter({ seq, leaseSeq, id, attempt }, port, () =>
      this.clock.monotonicMs(),
    );
    return this.ownReporter;
  }
}
