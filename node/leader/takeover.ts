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
 */
export interface TakeoverDeps extends RetryDeps {
  readonly reader: ReaderPort;
  readonly writer: WriterPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  readonly databaseClock: DatabaseClock;
  readonly pageRows?: number;
}

/** Small, so that the first lease of a term does not wait for a million rows. */
const FIRST_PAGE_ROWS = 1000;
const PAGE_ROWS = 10_000;
/** The load of the takeover; those of the inbox count down from below it. */
const TAKEOVER_LOAD = -1;

export async function takeOver(deps: TakeoverDeps): Promise<void> {
  const { reader, leadership, mailbox, databaseClock, log, clock } = deps;
  const { signal, term } = leadership;
  const read = <T>(what: string, run: () => Promise<T>): Promise<T> =>
    persist(deps, signal, what, run);
  await untilDone(signal, async () => {
    const begunMs = clock.monotonicMs();
    mailbox.post({ kind: 'load-started', load: TAKEOVER_LOAD, isPaged: true });
    databaseClock.set(await read('clock', () => reader.clockMs()));
    const handled = await read('types', () => reader.handledTypes());
    mailbox.post({ kind: 'types-handled', typeIds: [...handled.values()] });
    let tasks = 0;
    let afterSeq = 0;
    for (let limit = deps.pageRows ?? FIRST_PAGE_ROWS; ; limit = deps.pageRows ?? PAGE_ROWS) {
      const from = afterSeq;
      const rows = await read('page', () => reader.liveAfter(from, Number.MAX_SAFE_INTEGER, limit));
      await mailbox.postAndWait({ kind: 'tasks-loaded', rows });
      tasks += rows.seqs.length;
      if (rows.seqs.length < limit) break;
      afterSeq = rows.seqs.at(-1) as number;
    }
    mailbox.post({ kind: 'load-ended', load: TAKEOVER_LOAD, isPaged: true });
    const tookMs = Math.round(clock.monotonicMs() - begunMs);
    log.info('The leader has read the live set.', { term, tasks, duration_ms: tookMs });
  });
}
