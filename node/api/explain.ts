import { labelRecord } from '../core/labels.ts';
import type { Prospected } from '../core/messages.ts';
import { TRIGGER_RULE_NAMES } from '../core/task.ts';
import type { Obstacles } from '../store/obstacles.ts';
import type { TaskRecord } from '../store/task-reader.ts';
import type { DependencyEnd, LeaderPort, TaskReaderPort } from './ports.ts';

/**
 * Why a task is not running, or not finished: one sentence for people, and the same as data. What exists
 * and what stands in the way is read from PostgreSQL; how many tasks come first, and when it will be its
 * turn, only the leader knows. Without a leader that is left out, and the sentence says so.
 */
export interface ExplainDeps {
  readonly tasks: TaskReaderPort;
  readonly leader: LeaderPort;
}

type Reason = Readonly<Record<string, unknown>> & { readonly reason: string };

export async function explain(
  { tasks, leader }: ExplainDeps,
  task: TaskRecord,
  signal: AbortSignal,
): Promise<object> {
  const { seq, id, status } = task;
  const isUnfinished = status === 'QUEUED' || status === 'RUNNING';
  if (!isUnfinished) {
    const failed = status === 'SKIPPED' ? await tasks.failedDependencies(seq) : [];
    const reasons = failed.map((dependency) => ({ reason: 'dependency', ...dependency }));
    return { id, status, sentence: endSentence(task, failed), reasons };
  }
  const [found, asked] = await Promise.all([
    tasks.obstacles(seq),
    leader.ask({ seq, typeIds: [] }, signal),
  ]);
  const prospect = asked?.isKnown === true ? asked : undefined;
  const reasons = found === null ? [] : reasonsOf(found, prospect);
  const about = aboutTime(task, prospect);
  const ahead =
    status === 'RUNNING' || found === null
      ? runSentence(task, about)
      : waitSentence(reasons, about, asked !== undefined);
  const sentence = [failureSentence(task), ahead].filter((each) => each !== '').join(' ');
  return {
    ...{ id, status, sentence, reasons },
    ...(prospect === undefined || reasons.some(({ reason }) => reason !== 'slot')
      ? {}
      : { ahead: prospect.ahead, ahead_is_exact: prospect.isAheadExact }),
    estimated_start_at: about.startAt?.toISOString() ?? null,
    estimated_end_at: about.endAt?.toISOString() ?? null,
  };
}

/** In the order in which they have to go away. */
function reasonsOf(found: Obstacles, prospect: Prospected | undefined): readonly Reason[] {
  const { unended, dependencies, runAt, type, maxRunning } = found;
  const reasons: Reason[] = [];
  if (unended > 0) reasons.push({ reason: 'dependencies', count: unended, dependencies });
  if (runAt !== null) reasons.push({ reason: 'time', run_at: runAt.toISOString() });
  if (found.isPaused) reasons.push({ reason: 'paused', type });
  if (!found.hasType) reasons.push({ reason: 'type', type });
  else if (!found.hasNode) {
    const [labels, missing] = [labelRecord(found.labels), labelRecord(found.missingLabels)];
    reasons.push({ reason: 'labels', type, labels, missing });
  }
  const running = prospect?.typeRunning ?? 0;
  if (maxRunning !== null && running >= maxRunning) {
    reasons.push({ reason: 'limit', type, running, max_running: maxRunning });
  }
  if (reasons.length > 0) return reasons;
  const slots = prospect?.slots ?? 0;
  return [{ reason: 'slot', ...(prospect === undefined ? {} : { slots, held: prospect.held }) }];
}

interface About {
  readonly startAt: Date | null;
  readonly endAt: Date | null;
  readonly inMs: number | null;
}

function aboutTime(task: TaskRecord, prospect: Prospected | undefined): About {
  if (prospect === undefined) return { startAt: task.startedAt, endAt: null, inMs: null };
  const { runMs, atMs: nowMs } = prospect;
  if (task.startedAt !== null) {
    const endMs = runMs < 0 ? null : Math.max(nowMs, task.startedAt.getTime() + runMs);
    const endAt = endMs === null ? null : new Date(endMs);
    return { startAt: task.startedAt, endAt, inMs: endMs === null ? null : endMs - nowMs };
  }
  if (task.status === 'RUNNING') {
    // Its start is not in the database yet: it began a moment ago, or is about to.
    const endAt = runMs < 0 ? null : new Date(nowMs + runMs);
    return { startAt: new Date(nowMs), endAt, inMs: runMs < 0 ? null : runMs };
  }
  const inMs = prospect.startInMs;
  if (inMs < 0) return { startAt: null, endAt: null, inMs: null };
  const startAt = new Date(nowMs + inMs);
  return { startAt, endAt: runMs < 0 ? null : new Date(nowMs + inMs + runMs), inMs };
}

function runSentence({ node, attempt, maxAttempts }: TaskRecord, { inMs }: About): string {
  const where = `It runs on ${node ?? 'a node'}, attempt ${String(attempt)} of ${String(maxAttempts)}`;
  return inMs === null ? `${where}.` : `${where}, and should end in about ${spoken(inMs)}.`;
}

/** What went wrong so far with a task that is to be tried again, or is being. */
function failureSentence({ status, attempt, maxAttempts, lastError }: TaskRecord): string {
  const error = errorOf(lastError);
  if (error === null) return '';
  const failed = status === 'RUNNING' ? attempt - 1 : attempt;
  const why = `${error.code}: ${error.message.replace(/\.$/, '')}`;
  return `Attempt ${String(failed)} of ${String(maxAttempts)} failed, ${why}.`;
}

function errorOf(text: string | null): { readonly code: string; readonly message: string } | null {
  return JSON.parse(text ?? 'null') as { readonly code: string; readonly message: string } | null;
}

function waitSentence(reasons: readonly Reason[], { inMs }: About, hasLeader: boolean): string {
  const why = reasons.map(clauseOf).join(' ');
  if (!hasLeader) return `${why} No leader answers now, so nothing is started.`;
  return inMs === null ? why : `${why} It should start in about ${spoken(inMs)}.`;
}

function clauseOf(reason: Reason): string {
  switch (reason.reason) {
    case 'dependencies': {
      const { count, dependencies } = reason as unknown as {
        readonly count: number;
        readonly dependencies: readonly DependencyEnd[];
      };
      const named = dependencies.slice(0, 3).map(({ id, status }) => `${id} (${status})`);
      const more = count - named.length;
      const others = more > 0 ? ` and ${String(more)} more` : '';
      const what = count === 1 ? 'a dependency' : `${String(count)} dependencies`;
      return `It waits for ${what}: ${named.join(', ')}${others}.`;
    }
    case 'time':
      return `It is not to start before ${String(reason['run_at'])}.`;
    case 'paused':
      return `Its type ${String(reason['type'])} is paused.`;
    case 'type':
      return `No living node runs the type ${String(reason['type'])}.`;
    case 'labels': {
      const { labels, missing } = reason as unknown as Readonly<Record<string, object>>;
      const list = (of: object): string =>
        Object.entries(of)
          .map(([key, value]) => `${key}=${String(value)}`)
          .join(', ');
      return Object.keys(missing ?? {}).length > 0
        ? `No living node that runs its type has the label ${list(missing ?? {})}.`
        : `No living node that runs its type has all the labels ${list(labels ?? {})}.`;
    }
    case 'limit':
      return `${String(reason['running'])} of its type run, and ${String(reason['max_running'])} may.`;
    default:
      return slotClause(reason);
  }
}

function slotClause(reason: Reason): string {
  const { slots, held } = reason as unknown as { readonly slots?: number; readonly held?: number };
  if (slots === undefined || held === undefined) return 'It is ready, and waits for a slot.';
  if (held < slots) return 'It is ready, and there is a slot for it.';
  return `It is ready, and all ${String(slots)} slots that can run it are taken.`;
}

function endSentence(task: TaskRecord, failed: readonly DependencyEnd[]): string {
  switch (task.status) {
    case 'COMPLETED':
      return `It has completed, in attempt ${String(task.attempt)} of ${String(task.maxAttempts)}.`;
    case 'SKIPPED': {
      const rule = TRIGGER_RULE_NAMES[task.triggerRule] ?? '';
      const named = failed.slice(0, 3).map(({ id, status }) => `${id} is ${status}`);
      const because = named.length === 0 ? '' : `: ${named.join(', ')}`;
      return `It was skipped, because its trigger rule ${rule} does not hold${because}.`;
    }
    case 'CANCELLED':
      return 'It was cancelled.';
    default: {
      const error = errorOf(task.error);
      const tries = `after ${String(task.attempt)} of ${String(task.maxAttempts)} attempts`;
      return error === null ? 'It failed.' : `It failed ${tries}, ${error.code}: ${error.message}`;
    }
  }
}

function spoken(ms: number): string {
  if (ms < 1000) return `${String(Math.round(ms))} ms`;
  if (ms < 120_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 7_200_000) return `${String(Math.round(ms / 60_000))} min`;
  return `${(ms / 3_600_000).toFixed(1)} h`;
}
