import { errors } from '../base/errors.ts';
import type { Batch, SpawnParent } from '../core/submission.ts';
import type { CommitTrace } from './commit-check.ts';
import type { Session, Statement } from './database.ts';
import { chunkEnd, Refused, rowOf, TELL } from './submission-batch.ts';
import { allocateSeqs, insertRows, lockTasks } from './submission-rows.ts';
import type { TypeIds } from './type-names.ts';

/**
 * Tasks that a task adds while it runs, within a transaction that the caller owns. Their ids begin with
 * that of the parent, so that a further attempt of it names the same ones: what an earlier attempt has
 * added is left as it is, and only the rest goes in.
 *
 * The parent must hold its lease when this commits. It is looked at last, under a lock that a reclaim
 * waits for: one that came before is seen, and one that comes after finds the tasks there. The lock is
 * held for no longer than the commit takes, because the leader waits for it (rule 11).
 */
const PARENT: Statement = {
  name: 'spawned-batch.parent',
  text: `
    select l.priority, l.workflow_seq
    from skein.live l
    where l.seq = $1 and l.lease_seq = $2 and l.node_id = $3 and not l.cancel`,
};

const HOLD_PARENT: Statement = {
  name: 'spawned-batch.hold-parent',
  text: `${PARENT.text} for share`,
};

const EXISTING: Statement = {
  name: 'spawned-batch.existing',
  text: `
    select id, seq, coalesce(parent_seq, 0) as parent_seq
    from skein.task
    where namespace_id = 0 and id = any($1::text[])`,
};

const ENLARGE_WORKFLOW: Statement = {
  name: 'spawned-batch.enlarge-workflow',
  text: `update skein.workflow set total = total + $2 where workflow_seq = $1`,
};

export interface ParentRow {
  readonly priority: number;
  readonly workflow_seq: number | null;
}

/** Throws `lease_lost` where the parent is not leased as it says. */
export async function readParent(session: Session, parent: SpawnParent): Promise<ParentRow> {
  return oneOrThrow(
    await session.query<ParentRow>(PARENT, [parent.seq, parent.leaseSeq, parent.nodeId]),
  );
}

/** Undefined where an earlier attempt has added them all. Throws `Refused`, and `lease_lost`. */
export async function insertSpawned(
  session: Session,
  batch: Batch,
  parent: SpawnParent,
  typeIds: TypeIds,
): Promise<CommitTrace | undefined> {
  const { graph } = batch;
  const { workflow_seq: workflowSeq } = await readParent(session, parent);
  const known = await existingOf(session, batch, parent);
  const externals = graph.externals();
  const externalSeqs = await lockTasks(session, externals);
  if (externalSeqs.size < externals.length) {
    const missing = new Set(externals.filter((id) => !externalSeqs.has(id)));
    throw new Refused({ kind: 'missing', missing });
  }
  const order = batch.order.filter((task) => known[task] === 0);
  let trace: CommitTrace | undefined;
  if (order.length > 0) {
    const drawn = await allocateSeqs(session, order.length);
    const seqs = known.slice();
    order.forEach((task, place) => (seqs[task] = drawn[place] as number));
    for (let start = 0; start < order.length;) {
      const end = chunkEnd(batch, order, start);
      const rows = Array.from(order.subarray(start, end), (task) =>
        rowOf(batch, task, seqs, externalSeqs, typeIds),
      );
      const within = { workflowSeq, parentSeq: parent.seq };
      const { inserted, xid } = await insertRows(session, rows, within, null);
      if (inserted < rows.length) throw new Refused({ kind: 'ids-taken' });
      const [first] = rows;
      if (first !== undefined) trace = { seq: first.seq as number, ids: [first.id], xid };
      start = end;
    }
    await session.query(TELL, [drawn[0], drawn[drawn.length - 1]]);
    if (workflowSeq !== null) await session.query(ENLARGE_WORKFLOW, [workflowSeq, order.length]);
  }
  oneOrThrow(await session.query(HOLD_PARENT, [parent.seq, parent.leaseSeq, parent.nodeId]));
  return trace;
}

/** By task: its number where the parent has added it before, else 0. */
async function existingOf(
  session: Session,
  { graph, idPrefix }: Batch,
  parent: SpawnParent,
): Promise<Float64Array> {
  const ids = Array.from({ length: graph.count }, (_, task) => idPrefix + graph.idOf(task));
  const rows = await session.query<{ id: string; seq: number; parent_seq: number }>(EXISTING, [
    ids,
  ]);
  const foreign = rows.filter((row) => row.parent_seq !== parent.seq).map(({ id }) => id);
  if (foreign.length > 0) {
    throw new Refused({ kind: 'exist', ids: foreign, count: foreign.length });
  }
  const byId = new Map(rows.map(({ id, seq }) => [id, seq]));
  return Float64Array.from(ids, (id) => byId.get(id) ?? 0);
}

function oneOrThrow<Row>([row]: readonly Row[]): Row {
  if (row === undefined) throw errors.leaseLost();
  return row;
}
