import type { Batch, BatchOutcome, NewWorkflow, SingleTask } from '../core/submission.ts';
import type { CommitTrace } from './commit-check.ts';
import type { Session, Statement } from './database.ts';
import { allocateSeqs, insertRows, lockTasks } from './submission-rows.ts';
import type { NewRow } from './submission-rows.ts';
import type { TypeIds } from './type-names.ts';

/**
 * How a set of tasks goes into the tables, within a transaction that the caller owns: chunk by chunk,
 * with the row of its workflow and one row in the inbox.
 */

const CHUNK_TASKS = 2000;
const CHUNK_BYTES = 4 * 1024 * 1024;

const ADD_WORKFLOW: Statement = {
  name: 'submission-batch.add-workflow',
  text: `
    insert into skein.workflow (id, name, priority, total)
    values ($1, $2, $3, $4)
    on conflict (namespace_id, id) do nothing
    returning workflow_seq`,
};

export const TELL: Statement = {
  name: 'submission-batch.tell',
  text: `insert into skein.inbox (kind, first_seq, last_seq) values ('submitted', $1, $2)`,
};

/** Thrown inside a transaction to roll it back with an answer. */
export class Refused extends Error {
  readonly outcome: BatchOutcome | { readonly kind: 'ids-taken' } | { readonly kind: 'key-taken' };
  constructor(outcome: Refused['outcome']) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

export interface InsertedBatch {
  readonly trace: CommitTrace;
  /** Null for a set that is no workflow. */
  readonly workflowSeq: number | null;
}

/** Throws `Refused`, upon which everything is to be rolled back. */
export async function insertBatch(
  session: Session,
  batch: Batch,
  typeIds: TypeIds,
): Promise<InsertedBatch> {
  const { graph, order } = batch;
  const workflowSeq = await addWorkflow(session, batch.workflow, graph.count);
  const externals = graph.externals();
  const externalSeqs = await lockTasks(session, externals);
  if (externalSeqs.size < externals.length) {
    const missing = new Set(externals.filter((id) => !externalSeqs.has(id)));
    throw new Refused({ kind: 'missing', missing });
  }
  const seqs = await allocateSeqs(session, graph.count);
  const range = { first: seqs[0] as number, last: seqs[graph.count - 1] as number };
  let trace: CommitTrace | undefined;
  for (let start = 0; start < graph.count;) {
    const end = chunkEnd(batch, order, start);
    const rows = Array.from(order.subarray(start, end), (task) =>
      rowOf(batch, task, seqs, externalSeqs, typeIds),
    );
    const isAll = start === 0 && end === graph.count;
    const { inserted, xid } = await insertRows(
      session,
      rows,
      { workflowSeq, ...(start === 0 && batch.audit !== undefined && { audits: [batch.audit] }) },
      isAll ? range : null,
    );
    if (inserted < rows.length) throw new Refused({ kind: 'ids-taken' });
    const [first] = rows;
    if (first !== undefined) trace = { seq: first.seq as number, ids: [first.id], xid };
    if (end === graph.count && !isAll) await session.query(TELL, [range.first, range.last]);
    start = end;
  }
  if (trace === undefined) throw new Error('an empty batch was submitted');
  return { trace, workflowSeq };
}

async function addWorkflow(
  session: Session,
  workflow: NewWorkflow | null,
  total: number,
): Promise<number | null> {
  if (workflow === null) return null;
  const { id, name, priority } = workflow;
  const [row] = await session.query<{ workflow_seq: number }>(ADD_WORKFLOW, [
    id,
    name,
    priority,
    total,
  ]);
  if (row === undefined) throw new Refused({ kind: 'workflow-exists' });
  return row.workflow_seq;
}

/** Where the chunk that starts at `start` ends: after so many tasks, or so many bytes. */
export function chunkEnd(batch: Batch, order: Int32Array, start: number): number {
  let bytes = 0;
  let end = start;
  while (end < order.length && end - start < CHUNK_TASKS && bytes < CHUNK_BYTES) {
    bytes += batch.sizeOf(order[end] as number);
    end += 1;
  }
  return end;
}

export function rowOf(
  batch: Batch,
  task: number,
  seqs: Float64Array,
  externalSeqs: ReadonlyMap<string, number>,
  typeIds: TypeIds,
): NewRow {
  const { graph, idPrefix } = batch;
  const fields = batch.fieldsOf(task);
  const dependencies: string[] = [];
  const dependencySeqs: number[] = [];
  graph.eachDependency(task, (id, inside) => {
    dependencies.push(inside === -1 ? id : idPrefix + id);
    const seq = inside === -1 ? externalSeqs.get(id) : seqs[inside];
    dependencySeqs.push(seq as number);
  });
  return {
    seq: seqs[task] as number,
    id: idPrefix + graph.idOf(task),
    typeId: typeIds.get(fields.type) as number,
    fields,
    dependencies,
    dependencySeqs,
  };
}

/** One task by itself, under the next number. */
export function singleRow(
  { id, fields, dependencies }: SingleTask,
  seqs: ReadonlyMap<string, number>,
  typeIds: TypeIds,
): NewRow {
  const typeId = typeIds.get(fields.type) as number;
  const dependencySeqs = dependencies.map((dependency) => seqs.get(dependency) as number);
  return { seq: null, id, typeId, fields, dependencies, dependencySeqs };
}
