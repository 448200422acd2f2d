import type { Clock } from '../base/clock.ts';
import type { HandlerContext, HandlerLog, TaskInput } from '../core/handler.ts';
import type { Halt } from './halt.ts';
import { fromThrown, toInput, type Thrown } from './outcome.ts';
import type { LogLine, RunReportsPort, Work } from './ports.ts';
import { Reporter } from './reporter.ts';

/** What a handler that runs elsewhere says and asks; its node hears it. */
export interface Line {
  lines(lines: readonly LogLine[]): void;
  progress(fraction: number, note: string | null): void;
  askResults(): void;
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
  private asked: { resolve: (text: string) => void; reject: (error: Error) => void } | undefined;
  private answer: Promise<Readonly<Record<string, unknown>>> | undefined;

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

  resultsCame(text: string): void {
    this.asked?.resolve(text);
  }

  noResultsCame(thrown: Thrown): void {
    this.asked?.reject(fromThrown(thrown));
  }

  /** The same ones however often it is asked, so that one question is under way at most. */
  private readResults(): Promise<Readonly<Record<string, unknown>>> {
    this.answer ??= new Promise<string>((resolve, reject) => {
      this.asked = { resolve, reject };
      this.line.askResults();
    }).then((text) => JSON.parse(text) as Readonly<Record<string, unknown>>);
    return this.answer;
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
