import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import type {
  ApiKeyBody,
  AttemptBody,
  AuditBody,
  AuditFilter,
  CallOptions,
  ClusterBody,
  EndedTaskBody,
  EventBody,
  ExplainBody,
  GraphBody,
  LogLineBody,
  LogOptions,
  PageOptions,
  NodeBody,
  ScheduleBody,
  TaskBody,
  TaskFilter,
  TaskSummaryBody,
  TypeBody,
  WorkflowBody,
} from './bodies.ts';
import { watchView } from './live.ts';
import type { LiveTopic, LiveView } from './live.ts';
import { readLogs } from './logs.ts';
import { untilEnded } from './patience.ts';
import type { Patience } from './patience.ts';
import { Transport } from './transport.ts';
import type { Answer, Call } from './transport.ts';

export interface ClientOptions {
  /** `http://host:port` of one node or more. */
  readonly urls: readonly string[];
  /** Milliseconds for one call with all its tries; 30 s unless given. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** `skein_…`, for a cluster that asks for keys. */
  readonly apiKey?: string;
}

const TIMEOUT_MS = 30_000;
/** A wait is asked anew so often, so that an answer that got lost costs no more. */
const WAIT_MS = 20_000;
const LOOK_MS = 500;
/** The longest wait that a node takes; longer ones are made of several. */
const WAIT_MS_MAX = 5 * 60_000;

/** What a client may ask that changes nothing: each is asked again at another node where one fails. */
export class ClientReads {
  protected readonly transport: Transport;
  protected readonly timeoutMs: number;
  private readonly clock: Clock;

  constructor({ timeoutMs = TIMEOUT_MS, clock = systemClock, ...given }: ClientOptions) {
    this.transport = new Transport({ ...given, clock });
    this.timeoutMs = timeoutMs;
    this.clock = clock;
  }

  /**
   * The task as it is; with `waitMs`, as soon as it has ended or when that time is up. Throws a
   * ClientError with the code `not_found`.
   */
  async getTask(
    id: string,
    options: CallOptions & { readonly waitMs?: number } = {},
  ): Promise<TaskBody> {
    const path = `/tasks/${encodeURIComponent(id)}`;
    if (options.waitMs === undefined) return (await this.get(path, options)).body as TaskBody;
    const endMs = this.clock.monotonicMs() + options.waitMs;
    for (;;) {
      const leftMs = Math.max(0, Math.round(endMs - this.clock.monotonicMs()));
      const waitMs = Math.min(leftMs, WAIT_MS_MAX);
      const answer = await this.get(`${path}?wait=${String(waitMs)}ms`, options, waitMs);
      if (answer.status === 200 || leftMs <= WAIT_MS_MAX) return answer.body as TaskBody;
    }
  }

  /**
   * The task as soon as it has ended, however it ended. Waits without end unless `timeoutMs` says how long:
   * then it throws a ClientError with the code `deadline`. Nodes that die meanwhile are left for others.
   */
  async waitFor(id: string, options: CallOptions = {}): Promise<EndedTaskBody> {
    return untilEnded(this.patience(`the task ${id}`, options), async (leftMs, bounds) => {
      const task = await this.getTask(id, { ...bounds, waitMs: Math.min(leftMs, WAIT_MS) });
      return hasEnded(task) ? task : null;
    });
  }

  /** The same of a workflow, which is looked at again and again. */
  async waitForWorkflow(id: string, options: CallOptions = {}): Promise<WorkflowBody> {
    const patience = this.patience(`the workflow ${id}`, options);
    return untilEnded(patience, async (leftMs, bounds) => {
      const workflow = await this.getWorkflow(id, bounds);
      if (workflow.status !== 'RUNNING') return workflow;
      await this.clock.sleep(Math.min(leftMs, LOOK_MS), bounds.signal);
      return null;
    });
  }

  /**
   * A view of the live protocol: the whole of it at once, and again whenever it has changed, until the
   * caller leaves the loop or aborts. A line that breaks is taken up again, at any node.
   */
  subscribe(to: LiveTopic, options: Pick<CallOptions, 'signal'> = {}): AsyncGenerator<LiveView> {
    const { clock, timeoutMs } = this;
    const { urls, headers } = this.transport;
    return watchView({ clock, urls, headers, outageMs: timeoutMs }, to, options.signal);
  }

  /** Newest first. Pages are fetched as they are needed. */
  listTasks(filter: TaskFilter = {}): AsyncGenerator<TaskSummaryBody, void, undefined> {
    const { pageSize: limit, status, type, workflow, tag } = filter;
    return this.pages('/tasks', { status, type, workflow, tag, limit }, filter);
  }

  /** Newest first. Pages are fetched as they are needed. */
  listWorkflows(options: PageOptions = {}): AsyncGenerator<WorkflowBody, void, undefined> {
    return this.pages<WorkflowBody>('/workflows', { limit: options.pageSize }, options);
  }

  async getWorkflow(id: string, options: CallOptions = {}): Promise<WorkflowBody> {
    return (await this.get(`/workflows/${encodeURIComponent(id)}`, options)).body as WorkflowBody;
  }

  async getWorkflowGraph(id: string, options: CallOptions = {}): Promise<GraphBody> {
    return (await this.get(`/workflows/${encodeURIComponent(id)}/graph`, options))
      .body as GraphBody;
  }

  /** Those that depend on it. Pages are fetched as they are needed. */
  listDependents(
    id: string,
    options: PageOptions = {},
  ): AsyncGenerator<TaskSummaryBody, void, undefined> {
    const path = `/tasks/${encodeURIComponent(id)}/dependents`;
    return this.pages<TaskSummaryBody>(path, { limit: options.pageSize }, options);
  }

  /** What its attempts have said, the first line first. */
  logs(id: string, options: LogOptions = {}): AsyncGenerator<LogLineBody, void, undefined> {
    return readLogs(this.transport, id, options);
  }

  /** Why it is not running, or not finished, and about when it will be. */
  async explainTask(id: string, options: CallOptions = {}): Promise<ExplainBody> {
    return (await this.get(`/tasks/${encodeURIComponent(id)}/explain`, options))
      .body as ExplainBody;
  }

  async cluster(options: CallOptions = {}): Promise<ClusterBody> {
    return (await this.get('/cluster', options)).body as ClusterBody;
  }

  async getNode(name: string, options: CallOptions = {}): Promise<NodeBody> {
    return (await this.get(`/nodes/${encodeURIComponent(name)}`, options)).body as NodeBody;
  }

  /** Every type that was heard of, in that order. */
  listTypes(options: PageOptions = {}): AsyncGenerator<TypeBody, void, undefined> {
    return this.pages('/types', { limit: options.pageSize }, options);
  }

  async getSchedule(id: string, options: CallOptions = {}): Promise<ScheduleBody> {
    return (await this.get(schedulePath(id), options)).body as ScheduleBody;
  }

  /** Newest first. Pages are fetched as they are needed. */
  listSchedules(options: PageOptions = {}): AsyncGenerator<ScheduleBody, void, undefined> {
    return this.pages('/schedules', { limit: options.pageSize }, options);
  }

  /** Every try, lost leases among them, the latest last. */
  async getAttempts(id: string, options: CallOptions = {}): Promise<readonly AttemptBody[]> {
    const { body } = await this.get(`/tasks/${encodeURIComponent(id)}/attempts`, options);
    return body as readonly AttemptBody[];
  }

  /** Elections, joins, losses: the newest first. Pages are fetched as they are needed. */
  listEvents(options: PageOptions = {}): AsyncGenerator<EventBody, void, undefined> {
    return this.pages<EventBody>('/events', { limit: options.pageSize }, options);
  }

  /** The newest first, those that were revoked or have expired among them. */
  async listKeys(options: CallOptions = {}): Promise<readonly ApiKeyBody[]> {
    return (await this.get('/keys', options)).body as readonly ApiKeyBody[];
  }

  /** Who changed what, the newest first. Pages are fetched as they are needed. */
  listAudit(filter: AuditFilter & CallOptions = {}): AsyncGenerator<AuditBody, void, undefined> {
    const { actor, action, target, pageSize: limit } = filter;
    return this.pages<AuditBody>('/audit', { actor, action, target, limit }, filter);
  }

  protected async *pages<T>(
    path: string,
    query: Readonly<Record<string, string | number | undefined>>,
    options: CallOptions,
  ): AsyncGenerator<T, void, undefined> {
    const parameters = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) parameters.set(key, String(value));
    }
    let next: string | null = parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
    while (next !== null) {
      const { body, link }: Answer = await this.get(next, options);
      yield* body as T[];
      next = nextOf(link);
    }
  }

  protected get(path: string, options: CallOptions, extraMs = 0): Promise<Answer> {
    return this.transport.send({ method: 'GET', path, ...this.bounds(options, extraMs) });
  }

  private patience(what: string, { timeoutMs, signal }: CallOptions): Patience {
    const bounds = signal === undefined ? {} : { signal };
    const waitMs = timeoutMs ?? Number.POSITIVE_INFINITY;
    return { clock: this.clock, what, waitMs, outageMs: this.timeoutMs, bounds };
  }

  /** Until when a call may take, and what else ends it. */
  protected bounds(
    { signal, timeoutMs = this.timeoutMs }: CallOptions,
    extraMs = 0,
  ): Pick<Call, 'deadlineMs' | 'holdMs' | 'signal'> {
    return {
      deadlineMs: timeoutMs + extraMs,
      ...(extraMs === 0 ? {} : { holdMs: extraMs }),
      ...(signal === undefined ? {} : { signal }),
    };
  }
}

export function schedulePath(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}

/** The path of the next page out of a `Link` header; null for the last one. */
function nextOf(link: string | null): string | null {
  return /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1] ?? null;
}

function hasEnded(task: TaskBody): task is EndedTaskBody {
  return task.status !== 'QUEUED' && task.status !== 'RUNNING';
}
