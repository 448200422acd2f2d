import { attemptKey, bySeq, numbersOf, type LiveRow } from './schema.ts';
import type { Context, Programs, Row } from './statement.ts';
import type { Steps } from './transaction.ts';

/** The statements of node/store/lease-store.ts. */
export const LEASE_STORE: Programs = {
  *'lease-store.work'({ transaction, data }, [seqs]) {
    const rows: Row[] = [];
    for (const seq of numbersOf(seqs)) {
      const task = transaction.read(data.task, seq);
      if (task === undefined) continue;
      const [type] = transaction.scan(data.type, ({ typeId }) => typeId === task.typeId);
      rows.push([
        ...[task.seq, task.id, type?.name, task.payload, task.durationMs, task.maxAttempts],
        ...[task.timeoutMs, task.backoffFixed, task.backoffBaseMs, task.backoffMaxMs],
        type?.handled,
      ]);
    }
    return rows;
  },

  *'lease-store.deaths'({ transaction, data }, [seq]) {
    const died = transaction.scan(
      data.attempt,
      (row) => row.seq === seq && row.error?.includes('"code":"process_died"') === true,
    );
    return [[died.length]];
  },

  *'lease-store.markStarted'({ transaction, data }, [nodeId, seqs, leaseSeqs, agoMs]) {
    const marks = columns(seqs, leaseSeqs, agoMs).sort(bySeq);
    for (const { seq, leaseSeq, values } of marks) {
      const held = (row: LiveRow): boolean =>
        row.leaseSeq === leaseSeq && row.nodeId === nodeId && row.startedAt === null;
      const [row] = yield* transaction.lockWhere(data.live, [seq], held, 'no key update');
      if (row === undefined) continue;
      const startedAt = Math.max(row.leasedAt ?? 0, data.clockMs() - (values[0] as number));
      transaction.put(data.live, seq, { ...row, startedAt });
    }
    return [];
  },

  *'lease-store.completeMany'(context, [nodeId, seqs, leaseSeqs, startedAgo, finishedAgo]) {
    const { transaction, data } = context;
    const gone: number[] = [];
    const done = columns(seqs, leaseSeqs, startedAgo, finishedAgo).sort(bySeq);
    for (const { seq, leaseSeq, values } of done) {
      const [row] = yield* lockHeld(context, seq, leaseSeq, nodeId as number);
      if (row === undefined) {
        transaction.laws.count?.('an outcome was refused by its guard');
        continue;
      }
      transaction.put(data.live, seq, undefined);
      gone.push(seq);
      const [startedAgoMs, finishedAgoMs] = values as [number, number];
      const leasedAt = row.leasedAt ?? 0;
      const startedAt = row.startedAt ?? Math.max(leasedAt, data.clockMs() - startedAgoMs);
      const finishedAt = Math.max(leasedAt, row.startedAt ?? 0, data.clockMs() - finishedAgoMs);
      const attempt = row.attempt + 1;
      const end = { status: 1, leaseSeq: row.leaseSeq, attempt, nodeId: nodeId as number };
      yield* record(context, seq, { ...end, startedAt, finishedAt });
    }
    return [[gone]];
  },

  *'lease-store.settleMany'(context, given) {
    const [nodeId, seqs, leaseSeqs, settledAs, delayMs, startedAgo, finishedAgo, errors] = given;
    const rows: Row[] = [];
    const done = columns(seqs, leaseSeqs, settledAs, delayMs, startedAgo, finishedAgo, errors);
    const { transaction, data } = context;
    const locked: { row: LiveRow; values: readonly unknown[] }[] = [];
    for (const { seq, leaseSeq, values } of done.sort(bySeq)) {
      const [row] = yield* lockHeld(context, seq, leaseSeq, nodeId as number);
      if (row !== undefined) locked.push({ row, values });
    }
    for (const { row, values } of locked) {
      const [asked, delay, startedAgoMs, finishedAgoMs, error] = values as SettledValues;
      const as = row.cancel ? 3 : asked;
      const attempt = row.attempt + (asked === 6 ? 0 : 1);
      const leasedAt = row.leasedAt ?? 0;
      const now = data.clockMs();
      const begun = startedAgoMs === null ? null : Math.max(leasedAt, now - startedAgoMs);
      const startedAt = startedAgoMs === null ? null : (row.startedAt ?? begun);
      const finishedAt = Math.max(leasedAt, row.startedAt ?? 0, now - finishedAgoMs);
      const { seq, leaseSeq } = row;
      const outcome = as === 3 ? 'cancelled' : as === 6 ? 'released' : 'failed';
      const memory = { seq, leaseSeq, attempt: row.attempt + 1, outcome, nodeId: nodeId as number };
      yield* transaction.tryInsert(data.attempt, attemptKey(seq, leaseSeq), { ...memory, error });
      if (as === 2 || as === 3) {
        transaction.put(data.live, seq, undefined);
        const end = { status: as, leaseSeq, attempt, nodeId: nodeId as number };
        yield* record(context, seq, { ...end, startedAt, finishedAt, error });
        yield* transaction.insert(data.notCompleted, seq, { seq, status: as, finishedAt });
        rows.push([seq, as, 0, attempt, 0]);
        continue;
      }
      const runAt = delay > 0 ? now + delay : row.runAt;
      const expiresAt = startedAt === null ? row.expiresAt : null;
      transaction.put(data.live, seq, { ...unheld(row), attempt, runAt, expiresAt });
      rows.push([seq, as, leaseSeq + 1, attempt, runAt ?? 0]);
    }
    return rows;
  },

  *'lease-store.verifyMany'({ transaction, data }, [nodeId, seqs, leaseSeqs]) {
    const rows: Row[] = [];
    for (const { seq, leaseSeq } of columns(seqs, leaseSeqs)) {
      const task = transaction.read(data.task, seq);
      if (task === undefined) continue;
      const live = transaction.read(data.live, seq);
      const memory = transaction.read(data.attempt, attemptKey(seq, leaseSeq));
      const outcome = memory?.nodeId === nodeId ? memory?.outcome : undefined;
      if (outcome !== undefined || task.status === 1) {
        transaction.laws.count?.('an unknown commit was looked up');
      }
      const isWinner = task.status !== 0 && task.leaseSeq === leaseSeq && task.nodeId === nodeId;
      const as = outcome === 'failed' ? 5 : outcome === 'released' ? 6 : null;
      const attempt = live?.attempt ?? task.attempt;
      rows.push([seq, isWinner ? task.status : as, live?.leaseSeq ?? 0, attempt, live?.runAt ?? 0]);
    }
    return rows;
  },
};

type SettledValues = [number, number, number | null, number, string | null];

/** The guard of every outcome. */
function lockHeld(
  { transaction, data }: Context,
  seq: number,
  leaseSeq: number,
  nodeId: number,
): Steps<LiveRow[]> {
  const held = (row: LiveRow): boolean => row.leaseSeq === leaseSeq && row.nodeId === nodeId;
  return transaction.lockWhere(data.live, [seq], held, 'update');
}

/** A row that goes back to the queue under the next number. */
export function unheld(row: LiveRow): LiveRow {
  return { ...row, leaseSeq: row.leaseSeq + 1, nodeId: 0, leasedAt: null, startedAt: null };
}

/** `update task set … where seq = …`. */
export function* record(
  { transaction, data }: Context,
  seq: number,
  changes: Readonly<Record<string, unknown>>,
): Steps<void> {
  const [task] = yield* transaction.lockWhere(data.task, [seq], () => true, 'no key update');
  if (task !== undefined) transaction.put(data.task, seq, { ...task, ...changes });
}

interface Columns {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly values: readonly unknown[];
}

/** `unnest` of parallel arrays. */
function columns(seqs: unknown, leaseSeqs: unknown, ...others: readonly unknown[]): Columns[] {
  const numbers = numbersOf(leaseSeqs);
  const rest = others.map((column) => (Array.isArray(column) ? column : numbersOf(column)));
  return numbersOf(seqs).map((seq, at) => ({
    seq,
    leaseSeq: numbers[at] as number,
    values: rest.map((column) => (column as readonly unknown[])[at]),
  }));
}
