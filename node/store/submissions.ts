import { Batcher } from '../base/batcher.ts';
import type { Clock } from '../base/clock.ts';
import { AppError, errors } from '../base/errors.ts';
import { Gate } from '../base/gate.ts';
import type { Submitted } from '../core/messages.ts';
import type { Batch, BatchOutcome } from '../core/submission.ts';
import type {
  Once,
  OnceOutcome,
  SingleOutcome,
  SingleTask,
  SpawnParent,
} from '../core/submission.ts';
import { findAnswer, sweepKeys, tryClaimKey } from './idempotency.ts';
import { wasCommitted } from './commit-check.ts';
import type { CommitTrace } from './commit-check.ts';
import { CommitUnknownError, sqlState } from './database.ts';
import type { Database, Session, Statement } from './database.ts';
import { insertBatch, Refused, singleRow } from './submission-batch.ts';
import { insertSpawned, readParent } from './spawned-batch.ts';
import { eachExisting, insertRows, lockTasks, startableOf } from './submission-rows.ts';
import { TypeNames, type TypeIds } from './type-names.ts';

/**
 * The submit path: what is acknowledged is in PostgreSQL, by one transaction, leader or no leader.
 *
 * In that transaction: the tasks (`task`), their unfinished side (`live`), and exactly one inbox row
 * with their range of numbers. The leader finds them by that row whatever else happens, also when
 * this commit becomes visible after later numbers did: there is no watermark to fall under.
 *
 *   - Dependencies on stored tasks are looked up under a key-share lock, so that retention cannot
 *     remove them before the commit. That they may have ended already is for the leader to see.
 *   - Ids that exist are found by the insert itself (`on conflict do nothing` returns short), not by
 *     a look ahead that another submit could slip past; everything is rolled back and they are named.
 *   - Rows go in by order of id, so two submits of the same ids wait for one another and cannot
 *     deadlock; what deadlocks all the same is tried again.
 *   - A COMMIT whose answer is lost is looked up by its rows before anyone is told anything.
 *
 * Single submits are group-committed: those that arrive while a commit is under way share the next
 * one, each with an answer of its own. A group does not wait long for a lock: the id that holds it
 * up is found by running its tasks one by one, and its submitter is asked to come again.
 *
 * A refused submit leaves nothing behind; a type's name may stay if another submit won a race.
 */
export interface SubmissionsDeps {
  readonly database: Database;
  readonly clock: Clock;
}

const GROUP_SIZE_MAX = 1000;
const QUEUE_SIZE_MAX = 20_000;
/** Large submits under way at once; each holds a session of the pool for as long as it takes. */
const BATCHES_MAX = 4;
const BATCHES_WAITING_MAX = 200;
/** Submits with a key under way at once, and those that wait for their turn. */
const ONCE_MAX = 4;
const ONCE_WAITING_MAX = 2000;
/** Tasks that add others at the same time: a slot each, and nothing of them waits for long. */
const SPAWNS_MAX = 2;
const SPAWNS_WAITING_MAX = 10_000;
const NAMED_MAX = 1000;
const SWEEP_EVERY_MS = 60_000;
/** Rounds of a submit that meets ids which vanish before they can be named. */
const ROUNDS_MAX = 5;

const WORKFLOW_EXISTS: Statement = {
  name: 'submissions.workflow-exists',
  text: `select 1 from skein.workflow where namespace_id = 0 and id = $1`,
};

export class Submissions {
  readonly #database: Database;
  readonly #clock: Clock;
  readonly #types: TypeNames;
  readonly #singles: Batcher<SingleTask, SingleOutcome>;
  /** A long batch must not hold up a single task that carries a key. */
  readonly #onceGate = new Gate(ONCE_MAX, ONCE_WAITING_MAX);
  readonly #spawnGate = new Gate(SPAWNS_MAX, SPAWNS_WAITING_MAX);
  #sweptMs = -Infinity;
  readonly #gate = new Gate(BATCHES_MAX, BATCHES_WAITING_MAX);

  constructor({ database, clock }: SubmissionsDeps) {
    this.#database = database;
    this.#clock = clock;
    this.#types = new TypeNames(database);
    this.#singles = new Batcher({
      run: (tasks) => this.#submitGroup(tasks),
      batchSizeMax: GROUP_SIZE_MAX,
      queueSizeMax: QUEUE_SIZE_MAX,
    });
  }

  /** Throws `overloaded` and `database_unavailable`; refusals are values. */
  submitOne(task: SingleTask): Promise<SingleOutcome> {
    return this.#singles.add(task);
  }

  /** All or nothing. Throws `overloaded` and `database_unavailable`; refusals are values. */
  submitBatch(batch: Batch): Promise<BatchOutcome> {
    return this.#gate.run(async () => {
      if (await this.#types.hasNew(batch.typeNames)) {
        const refusal = await this.#refusalOf(batch);
        if (refusal !== null) return refusal;
      }
      const typeIds = await this.#types.resolve(batch.typeNames);
      for (let round = 1; round <= ROUNDS_MAX; round++) {
        const outcome = await this.#tryBatch(batch, typeIds);
        if (outcome.kind !== 'ids-taken' && outcome.kind !== 'key-taken') return outcome;
        const existing = await this.#existingOf(batch);
        if (existing !== null) return existing;
      }
      throw errors.overloaded('the ids of this batch are being submitted by others');
    });
  }

  /**
   * As `submitBatch`, and never twice under one key. A refusal is not remembered: what was wrong then may
   * be right when it is sent again.
   */
  async submitOnce(batch: Batch, once: Once): Promise<OnceOutcome> {
    const before = await findAnswer(this.#database, once);
    if (before !== null) return before;
    const outcome = await this.#onceGate.run(() => this.#submitUnder(once, batch));
    await this.#maybeSweep();
    return outcome;
  }

  async #submitUnder(once: Once, batch: Batch): Promise<OnceOutcome> {
    if (await this.#types.hasNew(batch.typeNames)) {
      const refusal = await this.#refusalOf(batch);
      if (refusal !== null) return (await findAnswer(this.#database, once)) ?? refusal;
    }
    const typeIds = await this.#types.resolve(batch.typeNames);
    for (let round = 1; round <= ROUNDS_MAX; round++) {
      const outcome = await this.#tryBatch(batch, typeIds, once);
      if (outcome.kind === 'stored') return outcome;
      // Whoever else sent it may have stored it meanwhile.
      const answered = await findAnswer(this.#database, once);
      if (answered !== null) return answered;
      if (outcome.kind !== 'ids-taken' && outcome.kind !== 'key-taken') return outcome;
      const existing = await this.#existingOf(batch);
      if (existing !== null) return existing;
    }
    throw errors.overloaded('this is being submitted by others');
  }

  /** Now and then, and only by who uses keys. */
  async #maybeSweep(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#sweptMs < SWEEP_EVERY_MS) return;
    this.#sweptMs = nowMs;
    await sweepKeys(this.#database);
  }

  /**
   * Adds tasks for one that runs, all or none, and none a second time; `read` is given the priority of
   * the parent. Throws `lease_lost` where that does not hold its lease any more, `overloaded` and
   * `database_unavailable`; refusals are values.
   */
  spawn(parent: SpawnParent, read: (priority: number) => Promise<Batch>): Promise<BatchOutcome> {
    return this.#spawnGate.run(async () => {
      const { priority } = await readParent(this.#database, parent);
      const batch = await read(priority);
      const typeIds = await this.#types.resolve(batch.typeNames);
      for (let round = 1; round <= ROUNDS_MAX; round++) {
        const outcome = await this.#tryInsert(typeIds, (session) =>
          insertSpawned(session, batch, parent, typeIds),
        );
        // Another attempt of the parent has just added them: the next look finds them there.
        if (outcome.kind !== 'ids-taken' && outcome.kind !== 'key-taken') return outcome;
      }
      throw errors.overloaded('the ids of these tasks are being submitted by others');
    });
  }

  /** Ends when what was taken in is answered. */
  async stop(): Promise<void> {
    await this.#singles.stop();
  }

  async #tryBatch(batch: Batch, typeIds: TypeIds, once?: Once): Promise<Refused['outcome']> {
    try {
      return await this.#tryInsert(typeIds, async (session) => {
        if (once !== undefined && !(await tryClaimKey(session, once))) {
          throw new Refused({ kind: 'key-taken' });
        }
        const { trace } = await insertBatch(session, batch, typeIds);
        return trace;
      });
    } catch (thrown) {
      if (once === undefined || !isLockTimeout(thrown)) throw thrown;
      throw errors.overloaded('a request of the same Idempotency-Key or ids is under way');
    }
  }

  /** What `insert` throws as refused is the answer; what it did is then rolled back. */
  async #tryInsert(
    typeIds: TypeIds,
    insert: (session: Session) => Promise<CommitTrace | undefined>,
  ): Promise<Refused['outcome']> {
    let trace: CommitTrace | undefined;
    try {
      await this.#transaction(typeIds, async (session) => {
        trace = await insert(session);
      });
    } catch (thrown) {
      if (thrown instanceof Refused) return thrown.outcome;
      await this.#confirmOrThrow(thrown, trace);
    }
    return { kind: 'stored' };
  }

  /** The numbers of types mean others where the database has failed over since they were read. */
  #transaction(
    { serverName }: TypeIds,
    work: (session: Session) => Promise<void>,
    options: { readonly impatient?: boolean } = {},
  ): Promise<void> {
    return this.#database.transaction((session) => {
      if (serverName === this.#database.serverName) return work(session);
      throw errors.databaseNotPrimary('it changed in the meantime');
    }, options);
  }

  /** The refusal of a batch by what is stored now, before the names of its types are stored. */
  async #refusalOf(batch: Batch): Promise<BatchOutcome | null> {
    if (batch.workflow !== null) {
      const found = await this.#database.query(WORKFLOW_EXISTS, [batch.workflow.id]);
      if (found.length > 0) return { kind: 'workflow-exists' };
    }
    const missing = new Set(batch.graph.externals());
    await eachExisting(this.#database, [...missing], (id) => missing.delete(id));
    if (missing.size > 0) return { kind: 'missing', missing };
    return this.#existingOf(batch);
  }

  async #existingOf({ graph, idPrefix }: Batch): Promise<BatchOutcome | null> {
    const ids: string[] = [];
    let count = 0;
    const all = Array.from({ length: graph.count }, (_, task) => idPrefix + graph.idOf(task));
    await eachExisting(this.#database, all, (id) => {
      count += 1;
      if (ids.length < NAMED_MAX) ids.push(id);
    });
    return count === 0 ? null : { kind: 'exist', ids, count };
  }

  /** Tasks of one group must not know each other: the same id, or a dependency, waits a round. */
  async #submitGroup(tasks: readonly SingleTask[]): Promise<readonly SingleOutcome[]> {
    const outcomes = new Map<SingleTask, SingleOutcome>();
    let waiting = tasks;
    while (waiting.length > 0) {
      const taken = new Map<string, SingleTask>();
      const later: SingleTask[] = [];
      for (const task of waiting) {
        const mustWait = taken.has(task.id) || task.dependencies.some((id) => taken.has(id));
        if (mustWait) later.push(task);
        else taken.set(task.id, task);
      }
      await this.#submitRound([...taken.values()], outcomes);
      waiting = later;
    }
    return tasks.map((task) => outcomes.get(task) ?? { kind: 'busy' });
  }

  async #submitRound(
    tasks: readonly SingleTask[],
    outcomes: Map<SingleTask, SingleOutcome>,
  ): Promise<void> {
    let open = tasks;
    if (await this.#types.hasNew(open.map((task) => task.fields.type))) {
      await this.#refuseSingles(open, outcomes);
      open = tasks.filter((task) => !outcomes.has(task));
    }
    const typeIds = await this.#types.resolve(open.map((task) => task.fields.type));
    for (let round = 1; open.length > 0 && round <= ROUNDS_MAX; round++) {
      try {
        const taken = await this.#tryGroup(open, typeIds, outcomes);
        if (!taken) return;
        const byId = new Map(open.map((task) => [task.id, task]));
        await eachExisting(this.#database, [...byId.keys()], (id) => {
          const task = byId.get(id);
          if (task !== undefined) outcomes.set(task, { kind: 'exists' });
        });
      } catch (thrown) {
        if (!isLockTimeout(thrown)) throw thrown;
        const [only] = open;
        if (open.length === 1 && only !== undefined) outcomes.set(only, { kind: 'busy' });
        else await Promise.all(open.map((task) => this.#submitRound([task], outcomes)));
      }
      open = open.filter((task) => !outcomes.has(task));
    }
  }

  /** Returns whether some id was taken, and so nothing stored. */
  async #tryGroup(
    tasks: readonly SingleTask[],
    typeIds: TypeIds,
    outcomes: Map<SingleTask, SingleOutcome>,
  ): Promise<boolean> {
    let trace: CommitTrace | undefined;
    let stored: readonly SingleTask[] = [];
    let submitted: Submitted | undefined;
    try {
      await this.#transaction(
        typeIds,
        async (session) => {
          const dependencies = [...new Set(tasks.flatMap((task) => task.dependencies))];
          const seqs = await lockTasks(session, dependencies);
          stored = refuseMissing(tasks, (id) => seqs.has(id), outcomes);
          if (stored.length === 0) return;
          const rows = stored.map((task) => singleRow(task, seqs, typeIds));
          rows.sort((a, b) => (a.id < b.id ? -1 : 1));
          const range = { first: null, last: null };
          const { inserted, first_seq, xid } = await insertRows(
            session,
            rows,
            { audits: stored.flatMap(({ audit }) => audit ?? []) },
            range,
          );
          if (inserted < rows.length) throw new Refused({ kind: 'ids-taken' });
          const [row] = rows;
          if (row !== undefined && rows.length === 1) submitted = startableOf(row, first_seq);
          trace = { seq: first_seq, ids: rows.map((row) => row.id), xid };
        },
        { impatient: true },
      );
    } catch (thrown) {
      if (thrown instanceof Refused) return true;
      await this.#confirmOrThrow(thrown, trace);
    }
    for (const task of stored) outcomes.set(task, { kind: 'stored', submitted });
    return false;
  }

  /** Refuses what can be seen to be refused already, before the names of new types are stored. */
  async #refuseSingles(
    tasks: readonly SingleTask[],
    outcomes: Map<SingleTask, SingleOutcome>,
  ): Promise<void> {
    const known = new Set<string>();
    const asked = new Set(tasks.flatMap((task) => [task.id, ...task.dependencies]));
    await eachExisting(this.#database, [...asked], (id) => known.add(id));
    for (const task of refuseMissing(tasks, (id) => known.has(id), outcomes)) {
      if (known.has(task.id)) outcomes.set(task, { kind: 'exists' });
    }
  }

  /** Returns when the transaction turns out to be stored, else throws. */
  async #confirmOrThrow(thrown: unknown, trace: CommitTrace | undefined): Promise<void> {
    if (!(thrown instanceof CommitUnknownError)) throw thrown;
    // Without a trace nothing was written: an empty group.
    if (trace === undefined) return;
    if (!(await wasCommitted(this.#database, this.#clock, trace))) {
      throw errors.databaseUnavailable(thrown);
    }
  }
}

/** Gives the tasks that name a missing dependency their answer, and returns the others. */
function refuseMissing(
  tasks: readonly SingleTask[],
  isStored: (id: string) => boolean,
  outcomes: Map<SingleTask, SingleOutcome>,
): readonly SingleTask[] {
  return tasks.filter((task) => {
    const missing = task.dependencies.filter((id) => !isStored(id));
    if (missing.length > 0) outcomes.set(task, { kind: 'missing', missing });
    return missing.length === 0;
  });
}

function isLockTimeout(thrown: unknown): boolean {
  return thrown instanceof AppError && sqlState(thrown.cause) === '55P03';
}
