import type { LiveRow, TaskRow } from './schema.ts';
import type { Context, Programs } from './statement.ts';
import { ServerError, STEP, type Steps } from './transaction.ts';

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

/** The running task that adds others. */
export interface Parent {
  readonly seq: number;
  readonly leaseSeq: number;
  readonly nodeId: number;
}

/** Of 0.05 ms most of the time (server.ts). */
const ROUND_TRIP_STEPS = 20;

export const NO_GATE = { paused: false, maxRunning: null };

/**
 * The transactions of node/store/submissions.ts, each as one program: dependencies under a key-share lock,
 * numbers from the sequence, the tasks in the order of their ids, and one row for the leader. What is
 * refused (`exist`, `missing`, `ids-taken`, `lease_lost`) leaves nothing behind.
 */
export const SUBMISSIONS: Programs = {
  *'submissions.submit'(context, [given]) {
    const { data, transaction } = context;
    const tasks = given as readonly NewTask[];
    yield* addTypes(context, tasks);
    const seqs = yield* lockDependencies(context, tasks);
    // Numbers are drawn before the commit, so that a later submit may become visible first.
    for (const { id } of tasks) seqs.set(id, data.next('task'));
    yield STEP;
    const isWhole = yield* insertTasks(context, tasks, seqs, null);
    const drawn = tasks.map(({ id }) => seqs.get(id) as number);
    yield* tell(context, 'submitted', Math.min(...drawn), Math.max(...drawn), []);
    if (!isWhole) throw new ServerError('refused', 'exist');
    const typeIds = tasks.map(({ type }) => data.type.slot(type).newestFor(transaction)?.typeId);
    return [['stored', drawn, typeIds]];
  },

  /** node/store/spawned-batch.ts: whether the parent holds its lease is looked at last, under a lock. */
  *'submissions.spawn'(context, [by, given]) {
    const { data, transaction } = context;
    const [parent, tasks] = [by as Parent, given as readonly NewTask[]];
    const holdsLease = (row: LiveRow): boolean =>
      row.leaseSeq === parent.leaseSeq && row.nodeId === parent.nodeId && !row.cancel;
    const live = transaction.read(data.live, parent.seq);
    if (live === undefined || !holdsLease(live)) throw new ServerError('refused', 'lease_lost');
    yield* roundTrip();
    yield* addTypes(context, tasks);
    const known = knownOf(context, parent, tasks);
    const fresh = tasks.filter(({ id }) => !known.has(id));
    yield* roundTrip();
    const seqs = yield* lockDependencies(context, tasks);
    yield* roundTrip();
    for (const [id, seq] of known) seqs.set(id, seq);
    for (const { id } of fresh) seqs.set(id, data.next('task'));
    if (fresh.length > 0) {
      if (!(yield* insertTasks(context, fresh, seqs, parent))) {
        throw new ServerError('refused', 'ids-taken');
      }
      const drawn = fresh.map(({ id }) => seqs.get(id) as number);
      yield* tell(context, 'submitted', Math.min(...drawn), Math.max(...drawn), []);
    }
    yield* roundTrip();
    const held = yield* transaction.lockWhere(data.live, [parent.seq], holdsLease, 'share');
    if (held.length === 0) throw new ServerError('refused', 'lease_lost');
    return [['stored', fresh.length]];
  },
};

/** Between two statements of a transaction the answer travels, and much may happen. */
function* roundTrip(): Steps<void> {
  for (let step = 0; step < ROUND_TRIP_STEPS; step++) yield STEP;
}

/** Of the tasks, those that the parent has added before, with their numbers. */
function knownOf(
  { transaction, data }: Context,
  parent: Parent,
  tasks: readonly NewTask[],
): ReadonlyMap<string, number> {
  const known = new Map<string, number>();
  for (const { id } of tasks) {
    const seq = transaction.read(data.taskId, id);
    if (seq === undefined) continue;
    const isOwn = transaction.read(data.task, seq)?.parentSeq === parent.seq;
    if (!isOwn) throw new ServerError('refused', 'exist');
    known.set(id, seq);
  }
  return known;
}

function* addTypes({ transaction, data }: Context, tasks: readonly NewTask[]): Steps<void> {
  for (const { type: name } of tasks) {
    if (transaction.read(data.type, name) !== undefined) continue;
    const row = { typeId: data.next('type'), name, handled: false, ...NO_GATE };
    yield* transaction.tryInsert(data.type, name, row);
  }
}

/** The numbers of the dependencies that are not among the tasks. */
function* lockDependencies(
  { transaction, data }: Context,
  tasks: readonly NewTask[],
): Steps<Map<string, number>> {
  const own = new Set(tasks.map(({ id }) => id));
  const outside = new Set(tasks.flatMap((t) => t.dependencies).filter((id) => !own.has(id)));
  const known = [...outside].flatMap((id) => transaction.read(data.taskId, id) ?? []);
  const keys = known.toSorted((a, b) => a - b);
  // One that was removed while this waited for it is not among them.
  const rows = yield* transaction.lockWhere(data.task, keys, () => true, 'key share');
  if (rows.length < outside.size) throw new ServerError('refused', 'missing');
  return new Map(rows.map(({ id, seq }) => [id, seq]));
}

/** Whether no id was taken. */
function* insertTasks(
  context: Context,
  tasks: readonly NewTask[],
  seqs: ReadonlyMap<string, number>,
  parent: Parent | null,
): Steps<boolean> {
  const { transaction, data } = context;
  let isWhole = true;
  for (const task of tasks.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const seq = seqs.get(task.id) as number;
    // The index leads to the row of that id, and who changes that is waited for.
    const taken = data.taskId.get(task.id);
    if (taken !== undefined) yield* transaction.awaitWriter(data.task, taken);
    // The statement goes on past an id that is taken, and its client rolls back what it has done.
    if (!(yield* transaction.tryInsert(data.taskId, task.id, seq))) {
      isWhole = false;
      continue;
    }
    const deps = task.dependencies.map((id) => seqs.get(id) as number);
    yield* insertTask(context, { ...task, seq, deps }, parent);
  }
  return isWhole;
}

function* insertTask(
  { transaction, data }: Context,
  task: NewTask & { readonly seq: number; readonly deps: readonly number[] },
  parent: Parent | null,
): Steps<void> {
  const type = data.type.slot(task.type).newestFor(transaction);
  const typeId = type?.typeId ?? 0;
  const { seq, deps, id, priority, maxAttempts, rule } = task;
  const { payload, dependencies, timeoutMs, ttlMs, backoffBaseMs } = task;
  const adder: Pick<TaskRow, 'parentSeq' | 'addedUnder'> =
    parent === null
      ? { parentSeq: 0, addedUnder: 0 }
      : { parentSeq: parent.seq, addedUnder: parent.leaseSeq };
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
    ...{ startedAt: null, finishedAt: null, error: null, ...adder },
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
export function* tell(
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
