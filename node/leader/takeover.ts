import type { LiveRows } from '../core/events.ts';
import type { DatabaseClock } from './database-clock.ts';
import type { Mailbox } from './mailbox.ts';
import type { Leadership, ReaderPort, WriterPort } from './ports.ts';
import { persist, untilDone, type RetryDeps } from './until-done.ts';

/**
 * The first act of a term, and the only mender after a failover: the graph is read from the live set,
 * page by page, while the loop already leases from the first. Running work is left alone: a row that
 * names a node is adopted as leased, the node says by its inventory what of it is true, and only the
 * reaper takes back what nobody holds. The term was raised before the first read, so nothing that an
 * earlier leader writes can come after it; what others commit meanwhile is in the inbox.
 *
 * A million rows take seconds, and the work that can run now may stand behind all that waits for a node,
 * for tomorrow or for others. So beside the pages goes a scout, which looks ahead in larger strides and
 * brings some rows that look ready. It decides nothing: they are loaded like any other, only earlier.
 */
export interface TakeoverDeps extends RetryDeps {
  readonly reader: ReaderPort;
  readonly writer: WriterPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  readonly databaseClock: DatabaseClock;
  readonly pageRows?: number;
}

/**
 * Small: a page is parsed and taken in at one go, about 4 µs a row, and meanwhile no heartbeat is sent.
 * Pages of 10,000 cost a leader its office on a machine that was busy, and the next one the same.
 */
const PAGE_ROWS = 1000;
/** What the scout looks at in one statement, about 0.5 µs a row in the database. */
const STRIDE_ROWS = 20_000;
/** With so much to do, no more is looked for. */
const SCOUTED_MAX = 1000;
/** The load of the takeover; those of the inbox count down from below it. */
const TAKEOVER_LOAD = -1;

export async function takeOver(deps: TakeoverDeps): Promise<void> {
  const { reader, leadership, mailbox, databaseClock, log, clock, pageRows = PAGE_ROWS } = deps;
  const { signal, term } = leadership;
  await untilDone(signal, async () => {
    const begunMs = clock.monotonicMs();
    mailbox.post({ kind: 'load-started', load: TAKEOVER_LOAD, isPaged: true });
    // Sent together: until the last of them is answered, nobody leases.
    const [nowMs, handled, gates, first] = await Promise.all([
      persist(deps, signal, 'clock', () => reader.clockMs()),
      persist(deps, signal, 'types', () => reader.handledTypes()),
      persist(deps, signal, 'gates', () => reader.gatedTypes()),
      readPage(deps, 0),
    ]);
    databaseClock.set(nowMs);
    mailbox.post({ kind: 'types-handled', typeIds: [...handled.values()] });
    mailbox.post({ kind: 'types-gated', ...gates });
    const loaded = new AbortController();
    const [tasks] = await Promise.all([
      loadPages(deps, first).finally(() => {
        loaded.abort();
      }),
      first.seqs.length < pageRows ? undefined : scout(deps, lastOf(first), loaded.signal),
    ]);
    mailbox.post({ kind: 'load-ended', load: TAKEOVER_LOAD, isPaged: true });
    const tookMs = Math.round(clock.monotonicMs() - begunMs);
    log.info('The leader has read the live set.', { term, tasks, duration_ms: tookMs });
  });
}

/** While one page is taken in, the next is read. Answers how many tasks there were. */
async function loadPages(deps: TakeoverDeps, first: LiveRows): Promise<number> {
  const { mailbox, pageRows = PAGE_ROWS } = deps;
  let tasks = 0;
  let rows = first;
  while (rows.seqs.length === pageRows) {
    tasks += rows.seqs.length;
    const taken = mailbox.postAndWait({ kind: 'tasks-loaded', rows });
    [rows] = await Promise.all([readPage(deps, lastOf(rows)), taken]);
  }
  await mailbox.postAndWait({ kind: 'tasks-loaded', rows });
  return tasks + rows.seqs.length;
}

/** Until it has found enough, or has come to the end, or the pages have. */
async function scout(deps: TakeoverDeps, fromSeq: number, loaded: AbortSignal): Promise<void> {
  const { reader, leadership, mailbox } = deps;
  let found = 0;
  for (let afterSeq = fromSeq; found < SCOUTED_MAX && !loaded.aborted;) {
    const from = afterSeq;
    const { rows, lastSeq } = await persist(deps, leadership.signal, 'scout', () =>
      reader.liveReadyAfter(from, STRIDE_ROWS, SCOUTED_MAX),
    );
    if (rows.seqs.length > 0) await mailbox.postAndWait({ kind: 'tasks-loaded', rows });
    if (lastSeq === 0) return;
    found += rows.seqs.length;
    afterSeq = lastSeq;
  }
}

function readPage(deps: TakeoverDeps, afterSeq: number): Promise<LiveRows> {
  const { reader, leadership, pageRows = PAGE_ROWS } = deps;
  return persist(deps, leadership.signal, 'page', () =>
    reader.liveAfter(afterSeq, Number.MAX_SAFE_INTEGER, pageRows),
  );
}

function lastOf(rows: LiveRows): number {
  return rows.seqs.at(-1) as number;
}
