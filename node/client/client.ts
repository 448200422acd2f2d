import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { uuidv7 } from '../base/uuid.ts';
import type {
  BulkFilter,
  ClusterBody,
  ExplainBody,
  GraphBody,
  LogLineBody,
  LogOptions,
  NewSchedule,
  NewTask,
  SubmitOptions,
  NewWorkflow,
  ScheduleBody,
  TaskBody,
  TaskFilter,
  TaskPatchBody,
  TaskSummaryBody,
  TypeBody,
  TypePatchBody,
  WorkflowBody,
} from './bodies.ts';
import { isKeyed } from './bodies.ts';
import { ClientError } from './client-error.ts';
import { readLogs } from './logs.ts';
import { encoded } from './ndjson.ts';
import { Transport, answerOf, failureOf } from './transport.ts';
import type { Answer, Call } from './transport.ts';

/**
 * A client of a cluster, over REST and on `fetch` alone. It knows any number of nodes, all of them
 * equal, and stays with the one that answered last until that fails.
 *
 * What it does when a node fails. A node that cannot be reached, or is busy (429, 503), is left for the
 * next one; when all of them are busy they are asked again, three times in all. Reads, cancel, retry and
 * patch may be carried out twice without harm and are simply sent again. A submit is sent again too,
 * because it never goes out without ids: where the caller chose none, this client does. Then the id
 * tells whether a first try without an answer was carried out after all:
 *
 *   one task      a 409 whose `same_body` is true is the answer that was lost
 *   batch         all or nothing, so it is stored if an id that was made here exists
 *   workflow      stored, if its id was made here
 *   NDJSON        a stream cannot be sent twice: a node that is ready is picked first, then it is sent once
 *
 * A batch or workflow with ids of the caller's own that exists already after such a try is reported as the
 * conflict it may be, with `isRepeated` set: whether it is the same one, the caller alone can tell.
 *
 * Every call ends by its deadline: `timeoutMs` for all its tries together, plus the wait that was asked
 * for. All failures are ClientErrors. What it does not promise: that an order of calls is kept over
 * several nodes, beyond what each call's answer says.
 */
export interface ClientOptions {
  /** `http://host:port` of one node or more. */
  readonly urls: readonly string[];
  /** Milliseconds for one call with all its tries; 30 s unless given. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

export interface Submitted {
  readonly id: string;
  readonly status: string;
}

export interface SubmittedBatch {
  readonly count: number;
  readonly ids: readonly string[];
}

export interface SubmittedWorkflow {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly count: number;
}

const TIMEOUT_MS = 30_000;
const NDJSON_TIMEOUT_MS = 10 * 60_000;
/** The longest wait that a node takes; longer ones are made of several. */
const WAIT_MS_MAX = 5 * 60_000;

export class SkeinClient {
  private readonly transport: Transport;
  private readonly timeoutMs: number;
  private readonly clock: Clock;

  constructor({ urls, timeoutMs = TIMEOUT_MS, clock = systemClock }: ClientOptions) {
    this.transport = new Transport({ urls, clock });
    this.timeoutMs = timeoutMs;
    this.clock = clock;
  }

  async submitTask(task: NewTask, options: SubmitOptions = {}): Promise<Submitted> {
    if (isKeyed(options)) return (await this.post('/tasks', task, options)) as Submitted;
    const sent = { ...task, id: task.id ?? uuidv7() };
    try {
      return (await this.post('/tasks', sent)) as Submitted;
    } catch (error) {
      const existing = existingOf(error);
      if (!isRepeatedConflict(error) || existing?.['same_body'] !== true) throw error;
      return { id: sent.id, status: String(existing['status']) };
    }
  }

  /** All or nothing. The tasks may depend on each other in any order. */
  async submitBatch(
    tasks: readonly NewTask[],
    options: SubmitOptions = {},
  ): Promise<SubmittedBatch> {
    if (isKeyed(options))
      return (await this.post('/tasks/batch', tasks, options)) as SubmittedBatch;
    const sent = tasks.map((task) => ({ ...task, id: task.id ?? uuidv7() }));
    try {
      return (await this.post('/tasks/batch', sent)) as SubmittedBatch;
    } catch (error) {
      const hasOwnId = tasks.some((task) => task.id === undefined);
      const isWhole = problemOf(error)?.['existing_count'] === sent.length;
      if (!isRepeatedConflict(error) || !hasOwnId || !isWhole) throw error;
      return { count: sent.length, ids: sent.map((task) => task.id) };
    }
  }

  /**
   * One task a line, each a JSON object; all or nothing. It is streamed, and sent once: after a failure
   * nobody knows whether it was stored, unless the lines carry ids.
   */
  async submitNdjson(
    lines: Iterable<string> | AsyncIterable<string>,
    options: SubmitOptions & { readonly timeoutMs?: number } = {},
  ): Promise<{ readonly count: number }> {
    const url = await this.transport.firstReady(this.timeoutMs);
    let response: Response;
    try {
      response = await fetch(`${url}/tasks/batch`, {
        method: 'POST',
        headers: {
          ...{ 'content-type': 'application/x-ndjson', accept: 'application/json' },
          ...(isKeyed(options) ? { 'idempotency-key': options.idempotencyKey } : {}),
        },
        body: encoded(lines),
        duplex: 'half',
        signal: AbortSignal.timeout(options.timeoutMs ?? NDJSON_TIMEOUT_MS),
      });
    } catch (error) {
      throw failureOf(error, url);
    }
    return (await answerOf(response, url)).body as { count: number };
  }

  async submitWorkflow(
    workflow: NewWorkflow,
    options: SubmitOptions = {},
  ): Promise<SubmittedWorkflow> {
    if (isKeyed(options)) {
      return (await this.post('/workflows', workflow, options)) as SubmittedWorkflow;
    }
    const id = workflow.id ?? uuidv7();
    try {
      return (await this.post('/workflows', { ...workflow, id })) as SubmittedWorkflow;
    } catch (error) {
      if (!isRepeatedConflict(error) || workflow.id !== undefined) throw error;
      const { name, status } = await this.getWorkflow(id);
      return { id, name, status, count: workflow.tasks.length };
    }
  }

  /**
   * The task as it is; with `waitMs`, as soon as it has ended or when that time is up. Throws a
   * ClientError with the code `not_found`.
   */
  async getTask(id: string, options: { readonly waitMs?: number } = {}): Promise<TaskBody> {
    const path = `/tasks/${encodeURIComponent(id)}`;
    if (options.waitMs === undefined) return (await this.get(path)).body as TaskBody;
    const endMs = this.clock.monotonicMs() + options.waitMs;
    for (;;) {
      const leftMs = Math.max(0, Math.round(endMs - this.clock.monotonicMs()));
      const waitMs = Math.min(leftMs, WAIT_MS_MAX);
      const answer = await this.get(`${path}?wait=${String(waitMs)}ms`, waitMs);
      if (answer.status === 200 || leftMs <= WAIT_MS_MAX) return answer.body as TaskBody;
    }
  }

  /** Newest first. Pages are fetched as they are needed. */
  listTasks(filter: TaskFilter = {}): AsyncGenerator<TaskSummaryBody, void, undefined> {
    const { pageSize, ...equal } = filter;
    return this.pages<TaskSummaryBody>('/tasks', { ...equal, limit: pageSize });
  }

  /** Newest first. Pages are fetched as they are needed. */
  listWorkflows(
    options: { readonly pageSize?: number } = {},
  ): AsyncGenerator<WorkflowBody, void, undefined> {
    return this.pages<WorkflowBody>('/workflows', { limit: options.pageSize });
  }

  async getWorkflow(id: string): Promise<WorkflowBody> {
    return (await this.get(`/workflows/${encodeURIComponent(id)}`)).body as WorkflowBody;
  }

  async getWorkflowGraph(id: string): Promise<GraphBody> {
    return (await this.get(`/workflows/${encodeURIComponent(id)}/graph`)).body as GraphBody;
  }

  /** Asks the leader to cancel it; the answer has the status before that is done. */
  cancelTask(id: string): Promise<Submitted> {
    return this.change(`/tasks/${encodeURIComponent(id)}/cancel`, ['CANCELLED']);
  }

  cancelWorkflow(id: string): Promise<Submitted> {
    return this.change(`/workflows/${encodeURIComponent(id)}/cancel`, ['CANCELLED']);
  }

  /** Asks the leader to run again what did not complete in a workflow. */
  retryWorkflow(id: string): Promise<Submitted> {
    return this.change(`/workflows/${encodeURIComponent(id)}/retry`, ['RUNNING']);
  }

  /** Asks the leader to cancel all tasks that a filter names; answers how many those are. */
  async cancelTasks(filter: BulkFilter): Promise<{ readonly count: number }> {
    return (await this.post('/tasks/cancel', filter)) as { count: number };
  }

  /** Asks the leader to run again all tasks that a filter names, of those that did not complete. */
  async retryTasks(filter: BulkFilter): Promise<{ readonly count: number }> {
    return (await this.post('/tasks/retry', filter)) as { count: number };
  }

  /** Those that depend on it. Pages are fetched as they are needed. */
  listDependents(
    id: string,
    options: { readonly pageSize?: number } = {},
  ): AsyncGenerator<TaskSummaryBody, void, undefined> {
    const path = `/tasks/${encodeURIComponent(id)}/dependents`;
    return this.pages<TaskSummaryBody>(path, { limit: options.pageSize });
  }

  /** What its attempts have said, the first line first. */
  logs(id: string, options: LogOptions = {}): AsyncGenerator<LogLineBody, void, undefined> {
    return readLogs(this.transport, id, options);
  }

  /** Asks the leader to run again a task that ended as FAILED, CANCELLED or SKIPPED. */
  retryTask(id: string): Promise<Submitted> {
    return this.change(`/tasks/${encodeURIComponent(id)}/retry`, ['QUEUED', 'RUNNING']);
  }

  /** Why it is not running, or not finished, and about when it will be. */
  async explainTask(id: string): Promise<ExplainBody> {
    return (await this.get(`/tasks/${encodeURIComponent(id)}/explain`)).body as ExplainBody;
  }

  async patchTask(id: string, patch: TaskPatchBody): Promise<TaskBody> {
    const path = `/tasks/${encodeURIComponent(id)}`;
    return (await this.send('PATCH', path, patch)).body as TaskBody;
  }

  async cluster(): Promise<ClusterBody> {
    return (await this.get('/cluster')).body as ClusterBody;
  }

  /** Every type that was heard of, in that order. */
  listTypes(): AsyncGenerator<TypeBody, void, undefined> {
    return this.pages('/types', {});
  }

  /** Pauses, resumes or limits a type, also one that nobody has heard of yet. */
  async patchType(type: string, patch: TypePatchBody): Promise<TypeBody> {
    return (await this.send('PATCH', `/types/${encodeURIComponent(type)}`, patch)).body as TypeBody;
  }

  /** Stores it, or puts it in the place of another; the same again changes nothing. */
  async putSchedule(id: string, schedule: NewSchedule): Promise<ScheduleBody> {
    return (await this.send('PUT', schedulePath(id), schedule)).body as ScheduleBody;
  }

  async getSchedule(id: string): Promise<ScheduleBody> {
    return (await this.get(schedulePath(id))).body as ScheduleBody;
  }

  /** Newest first. Pages are fetched as they are needed. */
  listSchedules(): AsyncGenerator<ScheduleBody, void, undefined> {
    return this.pages<ScheduleBody>('/schedules', {});
  }

  /** Its runs stay. Of a schedule that is gone already it is the same answer only in a second try. */
  async deleteSchedule(id: string): Promise<{ readonly id: string; readonly deleted: boolean }> {
    try {
      const { body } = await this.send('DELETE', schedulePath(id), undefined);
      return body as { id: string; deleted: boolean };
    } catch (error) {
      if (!(error instanceof ClientError) || !error.isRepeated || error.status !== 404) throw error;
      return { id, deleted: true };
    }
  }

  async pauseSchedule(id: string, isPaused: boolean): Promise<ScheduleBody> {
    const what = isPaused ? 'pause' : 'resume';
    return (await this.post(`${schedulePath(id)}/${what}`)) as ScheduleBody;
  }

  /** A run at once, for the fire of that time, by default now: so that a second try finds the first. */
  async runSchedule(id: string, at = new Date().toISOString()): Promise<Submitted> {
    const path = `${schedulePath(id)}/run?at=${encodeURIComponent(at)}`;
    try {
      return (await this.post(path)) as Submitted;
    } catch (error) {
      const existing = existingOf(error);
      if (!isRepeatedConflict(error) || existing === undefined) throw error;
      return { id: String(existing['id']), status: 'QUEUED' };
    }
  }

  /** A conflict after a try without an answer is none, where that try explains what is there now. */
  private async change(path: string, outcomes: readonly string[]): Promise<Submitted> {
    try {
      return (await this.post(path)) as Submitted;
    } catch (error) {
      const existing = existingOf(error);
      if (!isRepeatedConflict(error) || existing === undefined) throw error;
      if (!outcomes.includes(String(existing['status']))) throw error;
      return { id: String(existing['id']), status: String(existing['status']) };
    }
  }

  private async *pages<T>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>>,
  ): AsyncGenerator<T, void, undefined> {
    const parameters = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(key, String(value));
    }
    let next: string | null = parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
    while (next !== null) {
      const { body, link }: Answer = await this.get(next);
      yield* body as T[];
      next = nextOf(link);
    }
  }

  private get(path: string, extraMs = 0): Promise<Answer> {
    const deadlineMs = this.timeoutMs + extraMs;
    return this.transport.send({ method: 'GET', path, deadlineMs });
  }

  private async post(path: string, body?: unknown, options?: SubmitOptions): Promise<unknown> {
    return (await this.send('POST', path, body, options)).body;
  }

  private send(
    method: Call['method'],
    path: string,
    body: unknown,
    { idempotencyKey }: SubmitOptions = {},
  ): Promise<Answer> {
    const deadlineMs = this.timeoutMs;
    const key = idempotencyKey === undefined ? {} : { idempotencyKey };
    const call: Call = { method, path, deadlineMs, ...key };
    if (body === undefined) return this.transport.send(call);
    const contentType = 'application/json';
    return this.transport.send({ ...call, contentType, body: JSON.stringify(body) });
  }
}

function schedulePath(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}

function problemOf(error: unknown): Readonly<Record<string, unknown>> | undefined {
  return error instanceof ClientError ? error.problem : undefined;
}

function existingOf(error: unknown): Readonly<Record<string, unknown>> | undefined {
  const existing = problemOf(error)?.['existing'];
  return typeof existing === 'object' && existing !== null
    ? (existing as Readonly<Record<string, unknown>>)
    : undefined;
}

function isRepeatedConflict(error: unknown): boolean {
  return error instanceof ClientError && error.status === 409 && error.isRepeated;
}

/** The path of the next page out of a `Link` header; null for the last one. */
function nextOf(link: string | null): string | null {
  return /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1] ?? null;
}
