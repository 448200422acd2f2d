import type { LiveRow, TypeRow } from './schema.ts';
import type { Context, Programs } from './statement.ts';
import { ServerError, STEP, type Steps } from './transaction.ts';

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

const NO_GATE = { paused: false, maxRunning: null };

/** A task as a client of the simulation submits it. */
export interface NewTask {
  readonly id: string;
  readonly type: string;
  readonly payload: string;
  readonly priority: number;
  readonly maxAttempts: number;
  readonly rule: number;
  readonly expectedMs: number;
  readonly timeoutMs: number | null;
  readonly ttlMs: number | null;
  readonly backoffBaseMs: number;
  readonly delayMs: number;
  readonly dependencies: readonly string[];
}

/**
 * The transaction of node/store/submissions.ts as one program: dependencies under a key-share lock,
 * numbers from the sequence, the tasks in the order of their ids, and one row for the leader. Refused
 * with `exist` or `missing` it leaves nothing behind.
 */
export const SUBMISSIONS: Programs = {
  *'submissions.submit'(context, [given]) {
    const { transaction, data } = context;
    const tasks = given as readonly NewTask[];
    const own = new Set(tasks.map(({ id }) => id));
    for (const { type: name } of tasks) {
      if (transaction.read(data.type, name) !== undefined) continue;
      const row = { typeId: data.next('type'), name, handled: false, ...NO_GATE };
      yield* transaction.tryInsert(data.type, name, row);
    }
    const outside = new Set(tasks.flatMap((t) => t.dependencies).filter((id) => !own.has(id)));
    const seqs = new Map<string, number>();
    const known = [...outside].flatMap((id) => transaction.read(data.taskId, id) ?? []);
    const keys = known.toSorted((a, b) => a - b);
    // One that was removed while this waited for it is not among them.
    for (const { id, seq } of yield* transaction.lockWhere(
      data.task,
      keys,
      () => true,
      'key share',
    )) {
      seqs.set(id, seq);
    }
    if (seqs.size < outside.size) throw new ServerError('refused', 'missing');
    // Numbers are drawn before the commit, so that a later submit may become visible first.
    for (const { id } of tasks) seqs.set(id, data.next('task'));
    yield STEP;
    let isTaken = false;
    for (const task of tasks.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
      const seq = seqs.get(task.id) as number;
      // The index leads to the row of that id, and who changes that is waited for.
      const taken = data.taskId.get(task.id);
      if (taken !== undefined) yield* transaction.awaitWriter(data.task, taken);
      // The statement goes on past an id that is taken, and its client rolls back what it has done.
      if (!(yield* transaction.tryInsert(data.taskId, task.id, seq))) {
        isTaken = true;
        continue;
      }
      const deps = task.dependencies.map((id) => seqs.get(id) as number);
      yield* insertTask(context, seq, task, deps);
    }
    const own0 = tasks.map(({ id }) => seqs.get(id) as number);
    yield* tell(context, 'submitted', Math.min(...own0), Math.max(...own0), []);
    if (isTaken) throw new ServerError('refused', 'exist');
    const typeIds = tasks.map(({ type }) => data.type.slot(type).newestFor(transaction)?.typeId);
    return [['stored', own0, typeIds]];
  },
};

function* insertTask(
  { transaction, data }: Context,
  seq: number,
  task: NewTask,
  deps: readonly number[],
): Steps<void> {
  const type = data.type.slot(task.type).newestFor(transaction);
  const typeId = type?.typeId ?? 0;
  const {
    id,
    priority,
    maxAttempts,
    rule,
    payload,
    dependencies,
    timeoutMs,
    ttlMs,
    backoffBaseMs,
  } = task;
  const shared = { seq, typeId, priority, rule };
  yield* transaction.insert(data.task, seq, {
    ...{ ...shared, id, maxAttempts, payload, dependencies, timeoutMs, ttlMs, durationMs: null },
    ...{
      expectedMs: task.expectedMs,
      backoffFixed: true,
      backoffBaseMs,
      backoffMaxMs: backoffBaseMs,
    },
    ...{ status: 0, leaseSeq: 0, attempt: 0, nodeId: 0 },
    ...{ startedAt: null, finishedAt: null, error: null },
  });
  yield* transaction.insert(data.live, seq, {
    ...{ ...shared, deps, expectedMs: task.expectedMs, hasDuration: false },
    ...{ leasedAt: null, startedAt: null, nodeId: 0, leaseSeq: 0 },
    ...{ attempt: 0, losses: 0, cancel: false },
    runAt: task.delayMs > 0 ? data.clockMs() + task.delayMs : null,
    expiresAt: ttlMs === null ? null : data.clockMs() + task.delayMs + ttlMs,
  });
}

/** One row of the inbox, in the commit that it speaks of. */
function* tell(
  { transaction, data }: Context,
  kind: string,
  firstSeq: number,
  lastSeq: number,
  seqs: readonly number[],
): Steps<void> {
  const inboxId = data.next('inbox');
  yield* transaction.insert(data.inbox, inboxId, {
    ...{ inboxId, kind, firstSeq, lastSeq, seqs },
    bulk: false,
  });
}

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
