import { fullJitterMs } from '../base/backoff.ts';
import type { Clock, Rng } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type {
  IsDataError,
  LogLine,
  LogPort,
  ReportedChunk,
  ReportedRun,
  ReportStorePort,
  RunReportsPort,
} from './ports.ts';

/**
 * Brings what runs say of themselves into the database, beside the tasks and never in their way: nobody
 * waits for it, and it keeps what it can.
 *
 *   lines, progress ─▶ pending (bounded) ─▶ one batch over all runs, ten times a second at most ─▶ store
 *
 * A batch that is not accepted is sent again as it is, until it works: its chunks have numbers, and what
 * is there already is not stored twice. While the database is away the end of what was said is kept, 8
 * MiB for the whole node: of the run that has waited longest the elder half goes, and a line says so. A
 * node that dies takes the last tenth of a second with it.
 */
export interface ReportShipperDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly store: ReportStorePort;
  readonly isDataError: IsDataError;
}

interface Pending {
  readonly run: ReportedRun;
  lines: LogLine[];
  length: number;
  /** Lines that were dropped before these. */
  dropped: number;
}

const FLUSH_MS = 100;
const BACKOFF = { baseMs: 100, maxMs: 2000 };
/** Characters; with the one batch that is under way. */
const PENDING_LENGTH_MAX = 8 * 1024 * 1024;
const BATCH_LENGTH_MAX = 1024 * 1024;
const CHUNK_LENGTH_MAX = 64 * 1024;
const CHUNKS_MAX = 1000;
/** A line costs this much beside its texts. */
const LINE_OVERHEAD = 32;
/** What is left gets so long to be stored at the end. */
const FAREWELL_MS = 1000;

export class ReportShipper implements RunReportsPort {
  private readonly deps: ReportShipperDeps;
  /** All and only the runs with lines to send, those that have waited longest first. */
  private readonly pending = new Map<string, Pending>();
  private readonly fractions = new Map<
    number,
    { readonly run: ReportedRun; readonly fraction: number; readonly note: string | null }
  >();
  private length = 0;
  private chunks = 0;
  private shipping: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  private isLast = false;

  constructor(deps: ReportShipperDeps) {
    this.deps = deps;
  }

  lines(run: ReportedRun, lines: readonly LogLine[]): void {
    const key = keyOf(run);
    let waiting = this.pending.get(key);
    if (waiting === undefined) {
      waiting = { run, lines: [], length: 0, dropped: 0 };
      this.pending.set(key, waiting);
    }
    for (const line of lines) {
      const length = lengthOf(line);
      waiting.lines.push(line);
      waiting.length += length;
      this.length += length;
    }
    while (this.length > PENDING_LENGTH_MAX) this.dropSome();
    this.ship();
  }

  progress(run: ReportedRun, fraction: number, note: string | null): void {
    const known = this.fractions.get(run.seq);
    if (known !== undefined && known.run.leaseSeq > run.leaseSeq) return;
    this.fractions.set(run.seq, { run, fraction, note });
    this.ship();
  }

  /** What is left is stored, where that takes no longer than a second. Never rejects. */
  async stop(): Promise<void> {
    this.isLast = true;
    const cancel = this.deps.clock.after(FAREWELL_MS, () => {
      this.stopping.abort(new Error('the worker is stopped'));
    });
    await this.shipping;
    cancel();
    this.stopping.abort(new Error('the worker is stopped'));
  }

  private ship(): void {
    if (this.stopping.signal.aborted) return;
    this.shipping ??= this.shipAll().finally(() => {
      this.shipping = undefined;
    });
  }

  /** Never rejects. */
  private async shipAll(): Promise<void> {
    const { signal } = this.stopping;
    while (this.pending.size + this.fractions.size > 0 && !signal.aborted) {
      if (!this.isLast) await this.pause(FLUSH_MS);
      const batch = this.takeBatch();
      if (batch.length > 0) {
        await this.untilStored(() => this.deps.store.appendLines(this.chunksOf(batch)));
      }
      const reports = [...this.fractions.values()].map(({ run, fraction, note }) => ({
        ...{ seq: run.seq, leaseSeq: run.leaseSeq, fraction, note },
      }));
      this.fractions.clear();
      if (reports.length > 0) {
        await this.untilStored(() => this.deps.store.saveProgress(reports));
      }
    }
  }

  /** What the database refuses for what it is will not be accepted later either. */
  private async untilStored(store: () => Promise<void>): Promise<void> {
    const { rng, log, isDataError } = this.deps;
    for (let failures = 1; !this.stopping.signal.aborted; failures++) {
      try {
        await store();
        return;
      } catch (thrown) {
        const error = toError(thrown);
        if (isDataError(error)) {
          log.error('What runs said cannot be stored; it is dropped.', { error });
          return;
        }
        log.warn('What runs said could not be stored yet.', { error, failures });
      }
      await this.pause(fullJitterMs(BACKOFF, failures, rng));
    }
  }

  private async pause(ms: number): Promise<void> {
    await this.deps.clock.sleep(ms, this.stopping.signal).catch(() => undefined);
  }

  private takeBatch(): readonly Batched[] {
    const batch: Batched[] = [];
    let left = BATCH_LENGTH_MAX;
    for (const [key, waiting] of this.pending) {
      while (waiting.lines.length > 0 && left > 0 && batch.length < CHUNKS_MAX) {
        const lines = this.takeChunk(waiting);
        this.chunks += 1;
        batch.push({ run: waiting.run, chunk: this.chunks, lines });
        left -= CHUNK_LENGTH_MAX / 16 + lines.reduce((sum, line) => sum + lengthOf(line), 0);
      }
      if (waiting.lines.length > 0) break;
      this.pending.delete(key);
    }
    return batch;
  }

  private takeChunk(waiting: Pending): readonly LogLine[] {
    let count = 0;
    let length = 0;
    while (count < waiting.lines.length && length < CHUNK_LENGTH_MAX) {
      length += lengthOf(waiting.lines[count] as LogLine);
      count += 1;
    }
    const lines = waiting.lines.splice(0, count);
    waiting.length -= length;
    this.length -= length;
    const { dropped } = waiting;
    waiting.dropped = 0;
    if (dropped === 0) return lines;
    const message = `${String(dropped)} lines are missing here: they could not be stored in time.`;
    const atMs = lines[0]?.atMs ?? this.deps.clock.monotonicMs();
    return [{ level: 'warn', message, fields: null, atMs }, ...lines];
  }

  /** Their times are told by how long ago they were, because the clock that counts is the database's. */
  private chunksOf(batch: readonly Batched[]): readonly ReportedChunk[] {
    const nowMs = this.deps.clock.monotonicMs();
    return batch.map(({ run: { seq, leaseSeq, attempt }, chunk, lines }) => ({
      ...{ seq, leaseSeq, chunk, attempt },
      lines: lines.map((line) => toText(line, nowMs)).join('\n'),
    }));
  }

  private dropSome(): void {
    const [first] = this.pending.values();
    if (first === undefined) return;
    const gone = first.lines.splice(0, Math.max(1, first.lines.length >> 1));
    const length = gone.reduce((sum, line) => sum + lengthOf(line), 0);
    first.length -= length;
    this.length -= length;
    first.dropped += gone.length;
    if (first.lines.length === 0) this.pending.delete(keyOf(first.run));
  }
}

interface Batched {
  readonly run: ReportedRun;
  readonly chunk: number;
  readonly lines: readonly LogLine[];
}

function keyOf({ seq, leaseSeq }: ReportedRun): string {
  return `${String(seq)}/${String(leaseSeq)}`;
}

function lengthOf({ message, fields }: LogLine): number {
  return message.length + (fields?.length ?? 0) + LINE_OVERHEAD;
}

function toText({ atMs, level, message, fields }: LogLine, nowMs: number): string {
  return JSON.stringify([Math.max(0, Math.round(nowMs - atMs)), level, message, fields]);
}
