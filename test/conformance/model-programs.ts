import type { Data, LiveRow } from '../sim/postgres/schema.ts';
import type { Programs, Row } from '../sim/postgres/statement.ts';
import type { LiveChange, Standing, Tables } from './hands.ts';

/** A Tuesday. */
export const FIRST_CLOCK_MS = Date.UTC(2030, 0, 1);

/** What real-hands.ts does by SQL of its own, as programs of the model. */
export const HAND_PROGRAMS: Programs = {
  *'hand.start'({ transaction, data }, [term]) {
    const [row] = yield* transaction.lockWhere(data.term, [1], () => true, 'no key update');
    if (row !== undefined) transaction.put(data.term, 1, { ...row, term: term as number });
    const type = {
      typeId: data.next('type'),
      name: 'noop',
      handled: false,
      paused: false,
      maxRunning: null,
    };
    yield* transaction.insert(data.type, type.name, type);
    return [];
  },

  *'hand.add'({ transaction, data }, [seqs, deps]) {
    const parents = deps as readonly number[];
    for (const seq of seqs as readonly number[]) {
      const id = `t${String(seq)}`;
      const shared = { seq, typeId: 1, priority: 50, rule: 0 };
      yield* transaction.insert(data.taskId, id, seq);
      yield* transaction.insert(data.task, seq, {
        ...{
          ...shared,
          id,
          maxAttempts: 3,
          payload: null,
          timeoutMs: null,
          ttlMs: null,
          durationMs: null,
        },
        ...{ dependencies: parents.map((dep) => `t${String(dep)}`), backoffFixed: false },
        ...{ backoffBaseMs: 100, backoffMaxMs: 1000, expectedMs: null },
        ...{ status: 0, leaseSeq: 0, attempt: 0, nodeId: 0 },
        ...{ startedAt: null, finishedAt: null, error: null, parentSeq: 0, addedUnder: 0 },
      });
      yield* transaction.insert(data.live, seq, {
        ...{ ...shared, deps: parents, expectedMs: 1, hasDuration: false, leaseSeq: 0, nodeId: 0 },
        ...{ runAt: null, leasedAt: null, startedAt: null, attempt: 0, losses: 0, cancel: false },
        expiresAt: null,
      });
      data.drawTo('task', seq);
    }
    return [];
  },

  *'hand.alter'({ transaction, data }, [seq, given]) {
    const change = given as LiveChange | 'remove';
    const keys = [seq as number];
    const [row] = yield* transaction.lockWhere(data.live, keys, () => true, 'update');
    if (row === undefined) return [];
    transaction.put(data.live, row.seq, change === 'remove' ? undefined : altered(row, change));
    return [];

    function altered(before: LiveRow, to: LiveChange): LiveRow {
      const { runInMs, leasedAgoMs, expiresInMs } = to;
      return {
        ...before,
        leaseSeq: to.leaseSeq ?? before.leaseSeq,
        nodeId: to.nodeId ?? before.nodeId,
        cancel: to.cancel ?? before.cancel,
        runAt: runInMs === undefined ? before.runAt : data.clockMs() + runInMs,
        expiresAt: expiresInMs === undefined ? before.expiresAt : data.clockMs() + expiresInMs,
        leasedAt: leasedAgoMs === undefined ? before.leasedAt : data.clockMs() - leasedAgoMs,
      };
    }
  },

  *'hand.mark-bulk'({ transaction, data }, [inboxId]) {
    const keys = [inboxId as number];
    const [row] = yield* transaction.lockWhere(data.inbox, keys, () => true, 'update');
    if (row !== undefined) transaction.put(data.inbox, row.inboxId, { ...row, bulk: true });
    return [];
  },

  *'hand.hold-live'({ transaction, data }, [seq]) {
    yield* transaction.lockWhere(data.live, [seq as number], () => true, 'update');
    return [];
  },

  *'hand.hold-task'({ transaction, data }, [seq]) {
    yield* transaction.lockWhere(data.task, [seq as number], () => true, 'update');
    return [];
  },

  *'hand.remove-task'({ transaction, data }, [seq]) {
    const keys = [seq as number];
    const [task] = yield* transaction.lockWhere(data.task, keys, () => true, 'update');
    if (task === undefined) return [];
    transaction.put(data.task, task.seq, undefined);
    yield* transaction.lockWhere(data.taskId, [task.id], () => true, 'update');
    transaction.put(data.taskId, task.id, undefined);
    return [[task.seq]];
  },
};

export function standingOf(data: Data, seq: number): Standing {
  const [live, task] = [data.live.get(seq), data.task.get(seq)];
  if (task === undefined) return null as unknown as Standing;
  const attempts = [...data.attempt.rows()].filter((row) => row.seq === seq);
  return {
    live:
      live === undefined
        ? null
        : {
            ...{ lease: live.leaseSeq, node: orNull(live.nodeId), attempt: live.attempt },
            ...{ losses: live.losses, cancel: live.cancel },
          },
    task: { status: orNull(task.status), lease: task.leaseSeq, attempt: task.attempt },
    attempts: attempts
      .sort((a, b) => a.leaseSeq - b.leaseSeq)
      .map(({ leaseSeq, outcome }) => `${String(leaseSeq)} ${outcome}`),
    listed: data.notCompleted.get(seq)?.status ?? null,
  };
}

/** As the query of real-hands.ts. */
export function tablesOf(data: Data): Tables {
  const now = data.clockMs();
  const [term] = data.term.rows();
  const whenOf = (at: number | null): string =>
    at === null ? 'none' : at <= now ? 'past' : 'future';
  const rows = <T>(all: Iterable<T>, read: (row: T) => Row): Row[] =>
    [...all].map(read).sort((a, b) => compare(a, b));
  return {
    task: rows(data.task.rows(), (t) => [
      ...[t.seq, t.id, t.status, t.leaseSeq, t.attempt, t.nodeId, t.priority, t.payload, t.error],
      ...[t.dependencies, t.startedAt !== null, t.finishedAt !== null, t.parentSeq],
    ]),
    live: rows(data.live.rows(), (l) => [
      ...[l.seq, l.leaseSeq, l.nodeId, l.attempt, l.losses, l.cancel, l.priority, l.expectedMs],
      ...[l.hasDuration, l.deps, whenOf(l.runAt), whenOf(l.expiresAt)],
      ...[l.leasedAt !== null, l.startedAt !== null],
    ]),
    ended: rows(data.notCompleted.rows(), ({ seq, status }) => [seq, status]),
    attempt: rows(data.attempt.rows(), (a) => [
      ...[a.seq, a.leaseSeq, a.attempt, a.outcome, a.nodeId, a.error],
    ]),
    inbox: rows(data.inbox.rows(), (i) => [i.inboxId, i.kind, i.firstSeq, i.lastSeq, i.seqs]),
    node: rows(data.node.rows(), (n) => [n.nodeId, n.name, n.state, n.leaseUntil < now, n.groups]),
    type: rows(data.type.rows(), (t) => [...[t.typeId, t.name, t.handled, t.paused, t.maxRunning]]),
    term: [[term?.term ?? 0, term?.nodeId ?? 0]],
  };
}

/** By the first two columns, which are keys. */
function compare(a: Row, b: Row): number {
  return (a[0] as number) - (b[0] as number) || Number(a[1]) - Number(b[1]);
}

function orNull(number: number): number | null {
  return number === 0 ? null : number;
}
