import type { Clock, Rng } from '../base/clock.ts';
import { Waker } from '../base/waker.ts';
import type { Mailbox } from './mailbox.ts';
import type { InboxRow, Leadership, LogPort, ReaderPort, WriterPort } from './ports.ts';
import { persist, untilDone, type RetryDeps } from './until-done.ts';

/**
 * What the API has written and the leader has yet to apply. A word on a stream says "look now"; once a
 * second it is read anyway. A row is deleted, under the fence, only after what it asks for is done: a
 * leader that dies in between leaves it to the next one, and everything here may be done twice.
 *
 * What names very many tasks, a cancel of a million, is applied beside all that, a few hundred tasks at a
 * time: a submit that comes behind it does not wait for it, and no round of the loop grows long by it.
 *
 * There is no watermark over the numbers of the rows: a commit that took long shows up late under a low
 * number, and would never be found (measured).
 */
export interface InboxDeps extends RetryDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly reader: ReaderPort;
  readonly writer: WriterPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  /** Whether the loop has carried out all that it has decided. */
  readonly isCaughtUp: () => boolean;
  /** A schedule was changed. */
  readonly onSchedules?: () => void;
  readonly pageRows?: number;
}

interface Range {
  readonly firstSeq: number;
  lastSeq: number;
}

const ROWS_MAX = 1000;
const PAGE_ROWS = 5000;
/** Tasks that one round of the loop cancels, so that users cannot stall the leader (rule 11). */
const CANCELS_MAX = 1000;
/** Ranges this near are read as one. */
const GAP_MAX = 100;
const POLL_MS = 1000;
/** Of the bulk, tasks that one round cancels: what else it does waits for a few milliseconds. */
const BULK_CANCELS_MAX = 250;
/** Rows of the bulk that are read at once, each of a thousand tasks at most. */
const BULK_ROWS = 5;
/** Rows of retries that are applied as one, because each time looks through all that was SKIPPED. */
const BULK_RETRIES_MAX = 2000;
/** Tasks that one statement is asked about. */
const ASKED_MAX = 10_000;
const REVIVE_ROWS_MAX = 1000;

export class Inbox {
  private readonly deps: InboxDeps;
  private readonly waker: Waker;
  private readonly bulkWaker: Waker;
  private hasBulk = false;
  /** Loads that the leader begins count down from -1; those of the scheduler count up from 1. */
  private lastLoad = -1;

  constructor(deps: InboxDeps) {
    this.deps = deps;
    this.waker = new Waker(deps.clock);
    this.bulkWaker = new Waker(deps.clock);
  }

  /** There is something new, probably. */
  look(): void {
    this.waker.wake();
  }

  async run(): Promise<void> {
    const { signal } = this.deps.leadership;
    await Promise.all([
      untilDone(signal, async () => {
        while (!signal.aborted) {
          while (await this.runOnce());
          await this.waker.wait(POLL_MS, signal);
        }
      }),
      untilDone(signal, async () => {
        while (!signal.aborted) {
          if (this.hasBulk) await this.applyBulk();
          else await this.bulkWaker.wait(POLL_MS, signal);
        }
      }),
    ]);
  }

  /** Applies what is there; true when there may be more. */
  private async runOnce(): Promise<boolean> {
    const { reader, writer } = this.deps;
    const found = await this.persist('inbox', () => reader.inbox(ROWS_MAX));
    const rows = found.filter((row) => !row.isBulk);
    if (found.length > rows.length) {
      this.hasBulk = true;
      this.bulkWaker.wake();
    }
    if (rows.length === 0) return false;
    await this.applyGates(rows);
    if (rows.some(({ kind }) => kind === 'schedule')) this.deps.onSchedules?.();
    await this.applySubmitted(rows);
    await this.applyCancels(rows, CANCELS_MAX);
    await this.applyRetries(rows);
    const inboxIds = rows.map((row) => row.inboxId);
    await this.persist('inbox_delete', () => writer.deleteInboxMany(inboxIds));
    return rows.length === ROWS_MAX;
  }

  private async applyBulk(): Promise<void> {
    const { reader } = this.deps;
    this.hasBulk = false;
    const retries: InboxRow[] = [];
    for (let afterId = 0; retries.length < BULK_RETRIES_MAX;) {
      const from = afterId;
      const rows = await this.persist('bulk', () => reader.bulk(from, BULK_ROWS));
      const cancels = rows.filter(({ kind }) => kind === 'cancel');
      await this.applyCancels(cancels, BULK_CANCELS_MAX);
      await this.deleteMany(cancels);
      retries.push(...rows.filter(({ kind }) => kind === 'retry'));
      const last = rows.at(-1);
      if (last === undefined) break;
      afterId = last.inboxId;
    }
    await this.applyRetries(retries);
    await this.deleteMany(retries);
  }

  private async deleteMany(rows: readonly InboxRow[]): Promise<void> {
    const inboxIds = rows.map((row) => row.inboxId);
    for (let from = 0; from < inboxIds.length; from += ROWS_MAX) {
      const chunk = inboxIds.slice(from, from + ROWS_MAX);
      await this.persist('inbox_delete', () => this.deps.writer.deleteInboxMany(chunk));
    }
  }

  private async applySubmitted(rows: readonly InboxRow[]): Promise<void> {
    const isLoad = (row: InboxRow): boolean => row.kind === 'submitted' || row.kind === 'patched';
    for (const range of mergeRanges(rows.filter(isLoad))) await this.loadRange(range);
  }

  /** Read anew as a whole, after the change that asks for it: what stands in a row is of no account. */
  private async applyGates(rows: readonly InboxRow[]): Promise<void> {
    if (!rows.some((row) => row.kind === 'types')) return;
    const gates = await this.persist('gates', () => this.deps.reader.gatedTypes());
    await this.deps.mailbox.postAndWait({ kind: 'types-gated', ...gates });
  }

  /** Pages of the live set; while they come, a dependency without a row may be in a later one. */
  private async loadRange({ firstSeq, lastSeq }: Range): Promise<void> {
    const { reader, mailbox, pageRows = PAGE_ROWS } = this.deps;
    const load = (this.lastLoad -= 1);
    mailbox.post({ kind: 'load-started', load, isPaged: true });
    let afterSeq = firstSeq - 1;
    for (;;) {
      const from = afterSeq;
      const page = await this.persist('page', () => reader.liveAfter(from, lastSeq, pageRows));
      const isLast = page.seqs.length < pageRows;
      if (isLast) {
        await mailbox.postAndWait(
          { kind: 'tasks-loaded', rows: page },
          { kind: 'load-ended', load, isPaged: true },
        );
        return;
      }
      await mailbox.postAndWait({ kind: 'tasks-loaded', rows: page });
      afterSeq = page.seqs.at(-1) as number;
    }
  }

  private async applyCancels(rows: readonly InboxRow[], tasksMax: number): Promise<void> {
    const asked = seqsOf(rows, 'cancel');
    for (let from = 0; from < asked.length; from += tasksMax) {
      const seqs = asked.slice(from, from + tasksMax);
      await this.deps.mailbox.postAndWait({ kind: 'cancels-requested', seqs });
    }
  }

  /**
   * The tasks themselves and whatever was SKIPPED because of them come back. While that is done, what
   * the loop still knows of their former ends may skip more: so it is looked again until nothing more
   * comes back, which takes as many rounds as there are such skips one below the other. What came back
   * once is left alone, because its rule may say so again; what was asked for and had not ended is not,
   * because it may be skipped only now. An answer that was lost looks as if nothing had come back, so the
   * first round is never the last.
   */
  private async applyRetries(rows: readonly InboxRow[]): Promise<void> {
    const { reader } = this.deps;
    const asked = seqsOf(rows, 'retry');
    if (asked.length === 0) return;
    const firstEndMs = await this.firstEndMs(asked);
    const revived = new Set<number>();
    for (let round = 1; ; round++) {
      const roots = [...new Set([...asked, ...revived])];
      const below = await this.persist('skipped_below', () =>
        reader.skippedBelow(roots, firstEndMs),
      );
      const found = below.filter((seq) => !revived.has(seq));
      const cameBack = found.length === 0 ? [] : await this.revive(found);
      if (cameBack.length === 0 && round > 1) return;
      for (const seq of cameBack) revived.add(seq);
    }
  }

  private async firstEndMs(asked: readonly number[]): Promise<number> {
    let firstMs = Infinity;
    for (let from = 0; from < asked.length; from += ASKED_MAX) {
      const seqs = asked.slice(from, from + ASKED_MAX);
      const endMs = await this.persist('first_end', () => this.deps.reader.firstEndMs(seqs));
      firstMs = Math.min(firstMs, endMs);
    }
    return firstMs;
  }

  /**
   * Nearest first is how they come, and nearest last is how they go back: whatever a leader that dies
   * in between has left is still found from the tasks that were asked for.
   */
  private async revive(below: readonly number[]): Promise<readonly number[]> {
    const { reader, writer, mailbox, isCaughtUp, pageRows = PAGE_ROWS } = this.deps;
    const farthestFirst = below.toReversed();
    const rowsMax = Math.min(pageRows, REVIVE_ROWS_MAX);
    const cameBack: number[] = [];
    for (let from = 0; from < farthestFirst.length; from += rowsMax) {
      const chunk = farthestFirst.slice(from, from + rowsMax);
      const revived = await this.persist('revive', () => writer.reviveMany(chunk));
      cameBack.push(...revived);
      this.deps.log.info('Ended tasks were revived.', { count: revived.length });
    }
    const load = (this.lastLoad -= 1);
    mailbox.post({ kind: 'load-started', load, isPaged: true });
    for (let from = 0; from < below.length; from += pageRows) {
      const page = below.slice(from, from + pageRows);
      const loaded = await this.persist('load', () => reader.live(page));
      await mailbox.postAndWait({ kind: 'tasks-loaded', rows: loaded });
    }
    await mailbox.postAndWait({ kind: 'load-ended', load, isPaged: true });
    while (!isCaughtUp()) await mailbox.postAndWait({ kind: 'time-passed' });
    return cameBack;
  }

  private persist<T>(what: string, run: () => Promise<T>): Promise<T> {
    return persist(this.deps, this.deps.leadership.signal, what, run);
  }
}

/** Ranges in order, with those that touch or nearly touch made one. */
export function mergeRanges(rows: readonly Range[]): readonly Range[] {
  const merged: Range[] = [];
  for (const { firstSeq, lastSeq } of [...rows].sort((a, b) => a.firstSeq - b.firstSeq)) {
    const last = merged.at(-1);
    if (last !== undefined && firstSeq <= last.lastSeq + GAP_MAX) {
      last.lastSeq = Math.max(last.lastSeq, lastSeq);
    } else {
      merged.push({ firstSeq, lastSeq });
    }
  }
  return merged;
}

function seqsOf(rows: readonly InboxRow[], kind: InboxRow['kind']): number[] {
  return [...new Set(rows.filter((row) => row.kind === kind).flatMap((row) => row.seqs))];
}
