import { record, unheld } from './lease-store.ts';
import { attemptKey, bySeq, numbersOf, type LiveRow } from './schema.ts';
import type { Context, Programs } from './statement.ts';
import type { Steps } from './transaction.ts';

/** The statements of node/store/term-writer.ts: each locks the term row and checks it first. */
export const TERM_WRITER: Programs = {
  *'term-writer.leaseMany'(context, [term, seqs, leaseSeqs, nodeIds]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0, [], []]];
    const [known, nodes] = [numbersOf(leaseSeqs), numbersOf(nodeIds)];
    const leased: LiveRow[] = [];
    for (const [at, seq] of numbersOf(seqs).entries()) {
      const free = (row: LiveRow): boolean =>
        row.leaseSeq === known[at] &&
        row.nodeId === 0 &&
        !row.cancel &&
        (row.runAt === null || row.runAt <= data.clockMs());
      const [row] = yield* transaction.lockWhere(data.live, [seq], free, 'no key update', true);
      if (row === undefined) {
        transaction.laws.count?.('a lease was refused by its guard');
        continue;
      }
      const nodeId = nodes[at] as number;
      const leasedAt = data.clockMs();
      const next = { ...row, leaseSeq: row.leaseSeq + 1, nodeId, leasedAt };
      transaction.put(data.live, seq, next);
      leased.push(next);
    }
    return [[1, leased.map(({ seq }) => seq), leased.map(({ leaseSeq }) => leaseSeq)]];
  },

  *'term-writer.skipMany'(context, [term, seqs]) {
    if (!(yield* fence(context, term))) return [[0, [], []]];
    const gone = yield* lockLive(context, seqs, ({ nodeId }) => nodeId === 0);
    yield* endAll(context, gone, 4, {});
    return [[1, gone.map(({ seq }) => seq), gone.map(({ leaseSeq }) => leaseSeq)]];
  },

  *'term-writer.expireMany'(context, [term, seqs]) {
    if (!(yield* fence(context, term))) return [[0, [], []]];
    const isOver = ({ nodeId, expiresAt }: LiveRow): boolean =>
      nodeId === 0 && expiresAt !== null && expiresAt <= context.data.clockMs();
    const gone = yield* lockLive(context, seqs, isOver);
    yield* endAll(context, gone, 2, {});
    for (const { seq } of gone) {
      const { ttlMs } = context.data.task.slot(seq).newestFor(context.transaction) ?? {};
      yield* record(context, seq, { error: expired(ttlMs) });
    }
    return [[1, gone.map(({ seq }) => seq), gone.map(({ leaseSeq }) => leaseSeq)]];
  },

  *'term-writer.cancelMany'(context, [term, seqs]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0, [], [], []]];
    const locked = yield* lockLive(context, seqs, () => true);
    const gone = locked.filter(({ nodeId }) => nodeId === 0);
    const marked = locked.filter(({ nodeId }) => nodeId !== 0);
    for (const row of marked) transaction.put(data.live, row.seq, { ...row, cancel: true });
    yield* endAll(context, gone, 3, {});
    const [ended, leaseSeqs] = [gone.map(({ seq }) => seq), gone.map(({ leaseSeq }) => leaseSeq)];
    return [[1, ended, leaseSeqs, marked.map(({ seq }) => seq)]];
  },

  *'term-writer.takeBackMany'(context, [term, seqs, leaseSeqs, nodeId, outcome]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0, [], [], [], []]];
    const known = numbersOf(leaseSeqs);
    const wanted = new Map(numbersOf(seqs).map((seq, at) => [seq, known[at]]));
    const locked = yield* lockLive(
      context,
      seqs,
      (row) => row.leaseSeq === wanted.get(row.seq) && row.nodeId === nodeId,
    );
    const [gone, held] = [locked.filter((row) => row.cancel), locked.filter((row) => !row.cancel)];
    const queued = held.map((row) => ({
      ...unheld(row),
      losses: Math.min(row.losses + (outcome === 'lost' ? 1 : 0), 100),
      expiresAt: outcome === 'lost' ? null : row.expiresAt,
    }));
    for (const row of queued) transaction.put(data.live, row.seq, row);
    for (const { seq, leaseSeq, attempt } of locked) {
      const memory = { seq, leaseSeq, attempt: attempt + 1, outcome: outcome as string };
      const row = { ...memory, nodeId: nodeId as number, error: null };
      yield* transaction.tryInsert(data.attempt, attemptKey(seq, leaseSeq), row);
    }
    yield* endAll(context, gone, 3, { nodeId });
    return [
      [
        ...[1, queued.map(({ seq }) => seq), queued.map(({ leaseSeq }) => leaseSeq)],
        ...[queued.map(({ losses }) => losses), gone.map(({ seq }) => seq)],
      ],
    ];
  },

  *'term-writer.buryNode'(context, [term, nodeId, isProven, guardMs]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0, 0]];
    const [row] = yield* transaction.lockWhere(
      data.node,
      [nodeId as number],
      ({ state, leaseUntil }) =>
        (state === 'alive' || state === 'draining') &&
        (isProven === true || leaseUntil + (guardMs as number) < data.clockMs()),
      'no key update',
    );
    if (row === undefined) return [[1, 0]];
    transaction.put(data.node, row.nodeId, { ...row, state: 'dead' });
    return [[1, 1]];
  },

  *'term-writer.reviveMany'(context, [term, seqs]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0, []]];
    const keys = numbersOf(seqs).toSorted((a, b) => a - b);
    const hasEnded = ({ status }: { readonly status: number }): boolean => status > 1;
    const locked = yield* transaction.lockWhere(data.task, keys, hasEnded, 'no key update');
    for (const task of locked) {
      const { seq, typeId, priority, rule, expectedMs, durationMs } = task;
      const leaseSeq = task.leaseSeq + 1;
      const deps = task.dependencies.flatMap((id) => transaction.read(data.taskId, id) ?? []);
      const row = { seq, typeId, priority, rule, leaseSeq, deps: deps.toSorted((a, b) => a - b) };
      yield* transaction.insert(data.live, seq, {
        ...{ ...row, expectedMs: expectedMs ?? durationMs ?? 0, hasDuration: durationMs !== null },
        ...{ runAt: null, leasedAt: null, startedAt: null, nodeId: 0 },
        ...{ attempt: 0, losses: 0, cancel: false },
        expiresAt: task.ttlMs === null ? null : data.clockMs() + task.ttlMs,
      });
      const fresh = { status: 0, attempt: 0, nodeId: 0, startedAt: null, finishedAt: null };
      transaction.put(data.task, seq, { ...task, ...fresh, leaseSeq, error: null });
      const found = yield* transaction.lockWhere(data.notCompleted, [seq], () => true, 'update');
      if (found.length > 0) transaction.put(data.notCompleted, seq, undefined);
    }
    return [[1, locked.map(({ seq }) => seq)]];
  },

  *'term-writer.deleteInboxMany'(context, [term, inboxIds]) {
    const { transaction, data } = context;
    if (!(yield* fence(context, term))) return [[0]];
    const applied = yield* transaction.lockWhere(
      data.inbox,
      numbersOf(inboxIds).toSorted((a, b) => a - b),
      () => true,
      'update',
    );
    for (const { inboxId } of applied) transaction.put(data.inbox, inboxId, undefined);
    return [[1]];
  },

  *'term-writer.addEvent'(context, [term]) {
    return [[(yield* fence(context, term)) ? 1 : 0]];
  },
};

/** As the statement builds it; null where the limit is not of the task, as null makes it in SQL. */
function expired(ttlMs: number | null | undefined): string | null {
  if (ttlMs === null || ttlMs === undefined) return null;
  const message = `the task was not begun within ${String(ttlMs)} ms`;
  return JSON.stringify({ code: 'expired', message, retryable: false });
}

/** `select 1 from skein.term where id = 1 and term = $1 for share`. */
function* fence({ transaction, data }: Context, term: unknown): Steps<boolean> {
  const rows = yield* transaction.lockWhere(data.term, [1], (row) => row.term === term, 'share');
  if (rows.length === 1) transaction.fencedBy = term as number;
  else transaction.laws.count?.('a write was refused by the fence');
  return rows.length === 1;
}

function lockLive(
  { transaction, data }: Context,
  seqs: unknown,
  holds: (row: LiveRow) => boolean,
): Steps<LiveRow[]> {
  const keys = numbersOf(seqs).toSorted((a, b) => a - b);
  return transaction.lockWhere(data.live, keys, holds, 'update');
}

/** Deletes the live rows and writes the end of each into its task and into the list of ends. */
function* endAll(
  context: Context,
  rows: readonly LiveRow[],
  status: number,
  more: Readonly<Record<string, unknown>>,
): Steps<void> {
  const { transaction, data } = context;
  for (const { seq } of rows) transaction.put(data.live, seq, undefined);
  for (const { seq, leaseSeq, attempt } of rows.toSorted(bySeq)) {
    const finishedAt = data.clockMs();
    yield* record(context, seq, { status, leaseSeq, attempt, finishedAt, ...more });
    yield* transaction.insert(data.notCompleted, seq, { seq, status, finishedAt });
  }
}
