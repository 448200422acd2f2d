import { uuidv7 } from '../base/uuid.ts';
import type {
  ApiKeyBody,
  BulkFilter,
  CallOptions,
  MadeApiKey,
  NewApiKey,
  NewSchedule,
  NewTask,
  SubmitOptions,
  NewWorkflow,
  NodeBody,
  ScheduleBody,
  TaskBody,
  TaskPatchBody,
  TypeBody,
  TypePatchBody,
} from './bodies.ts';
import { isKeyed } from './bodies.ts';
import { aborted, ClientError } from './client-error.ts';
import { encoded } from './ndjson.ts';
import { ClientReads, schedulePath } from './reads.ts';
import { answerOf, failureOf, withDeadline } from './transport.ts';
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
 * for; a signal of the caller ends it at once. All failures are ClientErrors. What it does not promise:
 * that an order of calls is kept over several nodes, beyond what each call's answer says.
 */
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

/** All that `skein/client` gives: the client, its error, and the bodies that it sends and reads. */
export { ClientError } from './client-error.ts';
export type { ClientOptions } from './reads.ts';
export type { LiveRow, LiveTopic, LiveView } from './live.ts';
export type * from './bodies.ts';

const NDJSON_TIMEOUT_MS = 10 * 60_000;
/** The node walks the tables for it: 200,000 tasks took it 6 s beside other work. */
const BULK_TIMEOUT_MS = 10 * 60_000;

export class SkeinClient extends ClientReads {
  async submitTask(task: NewTask, options: SubmitOptions = {}): Promise<Submitted> {
    if (isKeyed(options)) return (await this.post('/tasks', task, options)) as Submitted;
    const sent = { ...task, id: task.id ?? uuidv7() };
    try {
      return (await this.post('/tasks', sent, options)) as Submitted;
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
      return (await this.post('/tasks/batch', sent, options)) as SubmittedBatch;
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
    options: SubmitOptions = {},
  ): Promise<{ readonly count: number }> {
    const url = await this.transport.firstReady(this.timeoutMs, options.signal);
    let response: Response;
    try {
      response = await fetch(`${url}/tasks/batch`, {
        method: 'POST',
        headers: {
          ...{ 'content-type': 'application/x-ndjson', accept: 'application/json' },
          ...this.transport.headers,
          ...(isKeyed(options) ? { 'idempotency-key': options.idempotencyKey } : {}),
        },
        body: encoded(lines),
        duplex: 'half',
        signal: withDeadline(options.timeoutMs ?? NDJSON_TIMEOUT_MS, options.signal),
      });
    } catch (error) {
      throw options.signal?.aborted === true ? aborted(options.signal) : failureOf(error, url);
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
      return (await this.post('/workflows', { ...workflow, id }, options)) as SubmittedWorkflow;
    } catch (error) {
      if (!isRepeatedConflict(error) || workflow.id !== undefined) throw error;
      const { name, status } = await this.getWorkflow(id, options);
      return { id, name, status, count: workflow.tasks.length };
    }
  }

  /** Asks the leader to cancel it; the answer has the status before that is done. */
  cancelTask(id: string, options: CallOptions = {}): Promise<Submitted> {
    return this.change(`/tasks/${encodeURIComponent(id)}/cancel`, ['CANCELLED'], options);
  }

  cancelWorkflow(id: string, options: CallOptions = {}): Promise<Submitted> {
    return this.change(`/workflows/${encodeURIComponent(id)}/cancel`, ['CANCELLED'], options);
  }

  /** Asks the leader to run again what did not complete in a workflow. */
  retryWorkflow(id: string, options: CallOptions = {}): Promise<Submitted> {
    return this.change(`/workflows/${encodeURIComponent(id)}/retry`, ['RUNNING'], options);
  }

  /** Asks the leader to cancel all tasks that a filter names; answers how many those are. */
  cancelTasks(filter: BulkFilter, options: CallOptions = {}): Promise<{ readonly count: number }> {
    return this.changeMany('cancel', filter, options);
  }

  /** Asks the leader to run again all tasks that a filter names, of those that did not complete. */
  retryTasks(filter: BulkFilter, options: CallOptions = {}): Promise<{ readonly count: number }> {
    return this.changeMany('retry', filter, options);
  }

  /** Asks the leader to run again a task that ended as FAILED, CANCELLED or SKIPPED. */
  retryTask(id: string, options: CallOptions = {}): Promise<Submitted> {
    return this.change(`/tasks/${encodeURIComponent(id)}/retry`, ['QUEUED', 'RUNNING'], options);
  }

  async patchTask(id: string, patch: TaskPatchBody, options: CallOptions = {}): Promise<TaskBody> {
    const path = `/tasks/${encodeURIComponent(id)}`;
    return (await this.send('PATCH', path, patch, options)).body as TaskBody;
  }

  /** Pauses, resumes or limits a type, also one that nobody has heard of yet. */
  async patchType(
    type: string,
    patch: TypePatchBody,
    options: CallOptions = {},
  ): Promise<TypeBody> {
    const path = `/types/${encodeURIComponent(type)}`;
    return (await this.send('PATCH', path, patch, options)).body as TypeBody;
  }

  /** Asks it to take no more work, or to take it again; the answer shows how it stands before that. */
  async drainNode(name: string, isOn = true, options: CallOptions = {}): Promise<NodeBody> {
    const path = `/nodes/${encodeURIComponent(name)}/${isOn ? 'drain' : 'undrain'}`;
    return (await this.post(path, undefined, options)) as NodeBody;
  }

  /** Stores it, or puts it in the place of another; the same again changes nothing. */
  async putSchedule(
    id: string,
    schedule: NewSchedule,
    options: CallOptions = {},
  ): Promise<ScheduleBody> {
    return (await this.send('PUT', schedulePath(id), schedule, options)).body as ScheduleBody;
  }

  /** Its runs stay. Of a schedule that is gone already it is the same answer only in a second try. */
  async deleteSchedule(
    id: string,
    options: CallOptions = {},
  ): Promise<{ readonly id: string; readonly deleted: boolean }> {
    try {
      const { body } = await this.send('DELETE', schedulePath(id), undefined, options);
      return body as { id: string; deleted: boolean };
    } catch (error) {
      if (!(error instanceof ClientError) || !error.isRepeated || error.status !== 404) throw error;
      return { id, deleted: true };
    }
  }

  async pauseSchedule(
    id: string,
    isPaused: boolean,
    options: CallOptions = {},
  ): Promise<ScheduleBody> {
    const what = isPaused ? 'pause' : 'resume';
    const path = `${schedulePath(id)}/${what}`;
    return (await this.post(path, undefined, options)) as ScheduleBody;
  }

  /** A run at once, for the fire of that time, by default now: so that a second try finds the first. */
  async runSchedule(
    id: string,
    at = new Date().toISOString(),
    options: CallOptions = {},
  ): Promise<Submitted> {
    const path = `${schedulePath(id)}/run?at=${encodeURIComponent(at)}`;
    try {
      return (await this.post(path, undefined, options)) as Submitted;
    } catch (error) {
      const existing = existingOf(error);
      if (!isRepeatedConflict(error) || existing === undefined) throw error;
      return { id: String(existing['id']), status: 'QUEUED' };
    }
  }

  /** Makes a key; the answer alone has it as text. */
  async createKey(key: NewApiKey, options: CallOptions = {}): Promise<MadeApiKey> {
    return (await this.post('/keys', key, options)) as MadeApiKey;
  }

  /** Nobody gets in by it any more, on any node, within seconds. */
  async revokeKey(id: string, options: CallOptions = {}): Promise<ApiKeyBody> {
    const path = `/keys/${encodeURIComponent(id)}/revoke`;
    return (await this.post(path, undefined, options)) as ApiKeyBody;
  }

  /** A conflict after a try without an answer is none, where that try explains what is there now. */
  private async change(
    path: string,
    outcomes: readonly string[],
    options: CallOptions,
  ): Promise<Submitted> {
    try {
      return (await this.post(path, undefined, options)) as Submitted;
    } catch (error) {
      const existing = existingOf(error);
      if (!isRepeatedConflict(error) || existing === undefined) throw error;
      if (!outcomes.includes(String(existing['status']))) throw error;
      return { id: String(existing['id']), status: String(existing['status']) };
    }
  }

  private async changeMany(
    what: 'cancel' | 'retry',
    filter: BulkFilter,
    options: CallOptions,
  ): Promise<{ readonly count: number }> {
    const bounds = { timeoutMs: BULK_TIMEOUT_MS, ...options };
    return (await this.post(`/tasks/${what}`, filter, bounds)) as { count: number };
  }

  private async post(path: string, body: unknown, options: SubmitOptions): Promise<unknown> {
    return (await this.send('POST', path, body, options)).body;
  }

  private send(
    method: Call['method'],
    path: string,
    body: unknown,
    options: SubmitOptions,
  ): Promise<Answer> {
    const key = isKeyed(options) ? { idempotencyKey: options.idempotencyKey } : {};
    const call: Call = { method, path, ...this.bounds(options), ...key };
    if (body === undefined) return this.transport.send(call);
    const contentType = 'application/json';
    return this.transport.send({ ...call, contentType, body: JSON.stringify(body) });
  }
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
