import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import type {
  AttemptBody,
  ClusterBody,
  EventBody,
  ExplainBody,
  GraphBody,
  LogLineBody,
  LogOptions,
  ScheduleBody,
  TaskBody,
  TaskFilter,
  TaskSummaryBody,
  TypeBody,
  WorkflowBody,
} from './bodies.ts';
import { readLogs } from './logs.ts';
import { Transport } from './transport.ts';
import type { Answer } from './transport.ts';

export interface ClientOptions {
  /** `http://host:port` of one node or more. */
  readonly urls: readonly string[];
  /** Milliseconds for one call with all its tries; 30 s unless given. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
}

const TIMEOUT_MS = 30_000;
/** The longest wait that a node takes; longer ones are made of several. */
const WAIT_MS_MAX = 5 * 60_000;

/** What a client may ask that changes nothing: each is asked again at another node where one fails. */
export class ClientReads {
  protected readonly transport: Transport;
  protected readonly timeoutMs: number;
  private readonly clock: Clock;

  constructor({ urls, timeoutMs = TIMEOUT_MS, clock = systemClock }: ClientOptions) {
    this.transport = new Transport({ urls, clock });
    this.timeoutMs = timeoutMs;
    this.clock = clock;
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

  /** Why it is not running, or not finished, and about when it will be. */
  async explainTask(id: string): Promise<ExplainBody> {
    return (await this.get(`/tasks/${encodeURIComponent(id)}/explain`)).body as ExplainBody;
  }

  async cluster(): Promise<ClusterBody> {
    return (await this.get('/cluster')).body as ClusterBody;
  }

  /** Every type that was heard of, in that order. */
  listTypes(): AsyncGenerator<TypeBody, void, undefined> {
    return this.pages('/types', {});
  }

  async getSchedule(id: string): Promise<ScheduleBody> {
    return (await this.get(schedulePath(id))).body as ScheduleBody;
  }

  /** Newest first. Pages are fetched as they are needed. */
  listSchedules(): AsyncGenerator<ScheduleBody, void, undefined> {
    return this.pages<ScheduleBody>('/schedules', {});
  }

  /** Every try, lost leases among them, the latest last. */
  async getAttempts(id: string): Promise<readonly AttemptBody[]> {
    const { body } = await this.get(`/tasks/${encodeURIComponent(id)}/attempts`);
    return body as readonly AttemptBody[];
  }

  /** Elections, joins, losses: the newest first. Pages are fetched as they are needed. */
  listEvents(
    options: { readonly pageSize?: number } = {},
  ): AsyncGenerator<EventBody, void, undefined> {
    return this.pages<EventBody>('/events', { limit: options.pageSize });
  }

  protected async *pages<T>(
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

  protected get(path: string, extraMs = 0): Promise<Answer> {
    const deadlineMs = this.timeoutMs + extraMs;
    return this.transport.send({ method: 'GET', path, deadlineMs });
  }
}

export function schedulePath(id: string): string {
  return `/schedules/${encodeURIComponent(id)}`;
}

/** The path of the next page out of a `Link` header; null for the last one. */
function nextOf(link: string | null): string | null {
  return /<([^>]*)>\s*;\s*rel="next"/.exec(link ?? '')?.[1] ?? null;
}
