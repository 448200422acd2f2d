import type { HandlerLine, History, HistoryRow, TaskRow } from './history.ts';
import { Replay } from './replay.ts';
import type { Violation, ViolationKind } from './violation.ts';

/**
 * Judges a run by its histories, once everything had time to end. It shares no code with what it
 * judges: the trigger rules are written here anew, from the contract.
 */
export function check(history: History, acknowledged: ReadonlySet<string>): readonly Violation[] {
  return [
    ...lostOnes(history.tasks, acknowledged),
    ...history.tasks.flatMap(unsound),
    ...startedEarly(history.tasks),
    ...new Replay(history).run(),
    ...oldTerms(history.rows),
    ...overlaps(history.handlerLines),
    ...unleased(history),
  ];
}

function* lostOnes(
  tasks: readonly TaskRow[],
  acknowledged: ReadonlySet<string>,
): Generator<Violation> {
  const stored = new Set(tasks.map((task) => task.id));
  for (const id of acknowledged) {
    if (!stored.has(id)) yield { kind: 'lost', task: id, what: 'acknowledged, and nowhere' };
  }
}

function unsound(task: TaskRow): readonly Violation[] {
  const { id, status } = task;
  const violation = (kind: ViolationKind, what: string): Violation => ({ kind, task: id, what });
  if (status === null && !task.isLive) return [violation('lost', 'neither ended nor live')];
  if (status === null) return [violation('stuck', 'it has not ended')];
  const found: Violation[] = [];
  if (task.isLive) found.push(violation('inconsistent', 'ended, and live'));
  if (task.isListed !== (status !== 1)) {
    found.push(
      violation(
        'inconsistent',
        `status ${String(status)}, but ${task.isListed ? '' : 'not '}listed`,
      ),
    );
  }
  if (task.attempt > task.maxAttempts) {
    const charged = `${String(task.attempt)} of ${String(task.maxAttempts)}`;
    found.push(violation('inconsistent', `charged ${charged} attempts`));
  }
  return found;
}

/** By the times in the tables; a dependency that completed did so once, whatever was retried. */
function* startedEarly(tasks: readonly TaskRow[]): Generator<Violation> {
  const byId = new Map(tasks.map((task) => [task.id, task]));
  for (const { id, startedAtMs, triggerRule, dependencies } of tasks) {
    if (startedAtMs === null || triggerRule !== ALL_SUCCESS) continue;
    for (const dependency of dependencies) {
      const { status, finishedAtMs } = byId.get(dependency) ?? {};
      if (status !== 1 || (finishedAtMs ?? 0) <= startedAtMs) continue;
      const byMs = String((finishedAtMs ?? 0) - startedAtMs);
      yield { kind: 'early', task: id, what: `started ${byMs} ms before ${dependency} finished` };
    }
  }
}

const ALL_SUCCESS = 0;

/**
 * What a leader writes, it writes over one connection that belongs to one term: the term at the commit
 * must be that one, and the leader then must be the node of the session.
 */
function* oldTerms(rows: readonly HistoryRow[]): Generator<Violation> {
  const termOf = new Map<string, number>();
  for (const row of rows) {
    const [, role, node] = row.session.split('/');
    if (role !== 'leader') continue;
    const own = termOf.get(row.backend) ?? row.term;
    termOf.set(row.backend, own);
    if (own === row.term && row.leader === node) continue;
    const when = `when ${String(row.leader)} led term ${String(row.term)}`;
    const what = `${String(node)} of term ${String(own)} wrote ${row.op} of ${String(row.seq)} ${when}`;
    yield { kind: 'old-term', task: null, what };
  }
}

interface Interval {
  readonly task: string;
  readonly name: string;
  readonly fromNs: bigint;
  toNs: bigint;
}

/** A process that was killed wrote no end: it was certainly running until its last line. */
function* overlaps(lines: readonly HandlerLine[]): Generator<Violation> {
  const intervals = new Map<string, Interval>();
  for (const line of lines) {
    if (line.place !== 'child') continue;
    const name = `lease ${String(line.lease_seq)} in process ${String(line.pid)}`;
    const atNs = BigInt(line.at_ns);
    const known = intervals.get(`${line.task} ${name}`);
    if (known === undefined) {
      intervals.set(`${line.task} ${name}`, { task: line.task, name, fromNs: atNs, toNs: atNs });
    } else if (atNs > known.toNs) known.toNs = atNs;
  }
  const byStart = [...intervals.values()].toSorted((a, b) => (a.fromNs < b.fromNs ? -1 : 1));
  const lastOf = new Map<string, Interval>();
  for (const interval of byStart) {
    const last = lastOf.get(interval.task);
    if (last === undefined || interval.toNs > last.toNs) lastOf.set(interval.task, interval);
    if (last === undefined || interval.fromNs > last.toNs) continue;
    const byMs = String(Number(last.toNs - interval.fromNs) / 1e6);
    const what = `${interval.name} began ${byMs} ms before the last of ${last.name}`;
    yield { kind: 'overlap', task: interval.task, what };
  }
}

/** Clocks of one machine: the trigger reads it before the commit, the handler after the grant. */
const CLOCK_SLACK_MS = 2;

function* unleased({ rows, tasks, handlerLines }: History): Generator<Violation> {
  const idOf = new Map(tasks.map((task) => [task.seq, task.id]));
  const leasedAt = new Map<string, number>();
  for (const row of rows) {
    if (row.op !== 'leased') continue;
    leasedAt.set(`${String(row.leaseSeq)} ${idOf.get(row.seq) ?? ''}`, row.atMs);
  }
  for (const line of handlerLines) {
    if (line.what !== 'start') continue;
    const lease = `lease ${String(line.lease_seq)}`;
    const atMs = leasedAt.get(`${String(line.lease_seq)} ${line.task}`);
    if (atMs === undefined) {
      yield { kind: 'unleased', task: line.task, what: `it ran under ${lease}, which never was` };
    } else if (line.wall_ms < Math.floor(atMs) - CLOCK_SLACK_MS) {
      const what = `it began ${String(atMs - line.wall_ms)} ms before ${lease} was committed`;
      yield { kind: 'unleased', task: line.task, what };
    }
  }
}
