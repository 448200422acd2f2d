import type { LiveRow, TypeRow } from './schema.ts';
import type { Programs } from './statement.ts';
import { NO_GATE, tell } from './submissions.ts';

/** The statements of node/store/task-changes.ts. */
export const TASK_CHANGES: Programs = {
  *'task-changes.patch'(context, [seq, priority, hasPayload, payload, hasRunAt, runAtMs]) {
    const { transaction, data } = context;
    const isQueued = ({ nodeId, cancel }: LiveRow): boolean => nodeId === 0 && !cancel;
    const keys = [seq as number];
    const [row] = yield* transaction.lockWhere(data.live, keys, isQueued, 'no key update');
    if (row === undefined) return [];
    const next = {
      ...row,
      priority: (priority as number | null) ?? row.priority,
      runAt: hasRunAt === true ? (runAtMs as number | null) : row.runAt,
    };
    const { ttlMs = null } = transaction.read(data.task, row.seq) ?? {};
    let { expiresAt } = row;
    if (hasRunAt === true && expiresAt !== null) {
      const fromMs = Math.max(data.clockMs(), next.runAt ?? 0);
      expiresAt = ttlMs === null ? null : fromMs + ttlMs;
    }
    transaction.put(data.live, row.seq, { ...next, expiresAt });
    const [task] = yield* transaction.lockWhere(data.task, keys, () => true, 'no key update');
    if (task !== undefined) {
      const text = hasPayload === true ? (payload as string | null) : task.payload;
      transaction.put(data.task, task.seq, { ...task, priority: next.priority, payload: text });
    }
    yield* tell(context, 'patched', row.seq, row.seq, [row.seq]);
    return [[row.seq]];
  },

  *'task-changes.cancel'(context, [seq]) {
    const { transaction, data } = context;
    if (transaction.read(data.live, seq as number) === undefined) return [];
    yield* tell(context, 'cancel', seq as number, seq as number, [seq as number]);
    return [[seq]];
  },

  *'task-changes.retry'(context, [seq]) {
    const { transaction, data } = context;
    const hasEnded = transaction.read(data.notCompleted, seq as number) !== undefined;
    if (!hasEnded || transaction.read(data.live, seq as number) !== undefined) return [];
    yield* tell(context, 'retry', seq as number, seq as number, [seq as number]);
    return [[seq]];
  },
};

/** The statement of node/store/type-control.ts that the leader has to hear of. */
export const TYPE_CONTROL: Programs = {
  *'type-control.set-gate'(context, [name, paused, hasLimit, limit]) {
    const { transaction, data } = context;
    const asked = { paused: paused as boolean | null, maxRunning: limit as number | null };
    const typeId = data.next('type');
    const fresh = { typeId, name: name as string, handled: false, ...NO_GATE };
    const gated = (row: TypeRow): TypeRow => ({
      ...row,
      paused: asked.paused ?? row.paused,
      maxRunning: hasLimit === true ? asked.maxRunning : row.maxRunning,
    });
    let row = gated(fresh);
    if (!(yield* transaction.tryInsert(data.type, row.name, row))) {
      const known = yield* transaction.lockNewest(data.type, row.name, 'no key update');
      row = gated(known ?? fresh);
      transaction.put(data.type, row.name, row);
    }
    yield* tell(context, 'types', row.typeId, row.typeId, []);
    return [];
  },
};

/** The statements of node/store/lock-session.ts. */
export const LOCK_SESSION: Programs = {
  *'lock-session.try'(context, values) {
    const { lock, transaction, data } = context;
    const taken = lock.tryTake();
    // The lock's key comes first; the statement that takes the lock arms the dead-man switch as well.
    if (taken) context.setIdleTimeout(values[2] as number);
    const row = transaction.read(data.term, 1);
    return [[taken, ...termColumns(row)]];
  },

  *'lock-session.read'({ transaction, data }) {
    return [termColumns(transaction.read(data.term, 1))];
  },

  *'lock-session.bump'({ transaction, data, lock }, values) {
    const [above, nodeId, name, grpcAddress, httpUrl] = values;
    if (!lock.isMine) return [];
    const [row] = yield* transaction.lockWhere(data.term, [1], () => true, 'no key update');
    if (row === undefined) return [];
    const term = Math.max(row.term, above as number) + 1;
    const next = {
      term,
      nodeId: nodeId as number,
      name: name as string,
      grpcAddress: grpcAddress as string,
      httpUrl: httpUrl as string,
    };
    transaction.put(data.term, 1, next);
    return [termColumns(next)];
  },
};

function termColumns(
  row:
    | { term: number; nodeId: number; name: string; grpcAddress: string; httpUrl: string }
    | undefined,
): readonly unknown[] {
  if (row === undefined || row.nodeId === 0) return [row?.term ?? 0, null, null, null, null];
  return [row.term, row.nodeId, row.name, row.grpcAddress, row.httpUrl];
}
