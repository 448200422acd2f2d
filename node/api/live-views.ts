import { errors } from '../base/errors.ts';
import type { EventRecord } from '../store/cluster-reader.ts';
import type { View } from './live-topic.ts';
import type { ViewName } from './live-messages.ts';
import type {
  AttentionPort,
  ClusterReaderPort,
  SchedulesPort,
  TaskReaderPort,
  WorkflowReaderPort,
} from './ports.ts';
import { scheduleText } from './schedules.ts';
import {
  attentionBody,
  attemptsText,
  failoverBody,
  nodeBody,
  summaryBody,
  taskText,
  workflowBody,
} from './views.ts';

/** How each view is read: a few statements, whose bodies are those of REST. */
export interface LiveReads {
  readonly cluster: ClusterReaderPort;
  readonly tasks: TaskReaderPort;
  readonly workflows: WorkflowReaderPort;
  readonly schedules: Pick<SchedulesPort, 'list'>;
  readonly attention: AttentionPort;
}

const TASKS_SHOWN = 200;
const EVENTS_SHOWN = 200;
const NEWS_SHOWN = 8;
const RUNNING_SHOWN = 300;
const WORKFLOWS_SHOWN = 50;
const SCHEDULES_SHOWN = 100;
/** A larger graph is asked for once over REST; live it is followed by its counts alone. */
const GRAPH_ROWS_MAX = 5000;
/** Ten minutes, as long as somebody watches. */
const HISTORY_MAX = 600;

export class LiveViews {
  readonly #reads: LiveReads;
  /** Counts by status over time: `[milliseconds since the epoch, QUEUED, RUNNING, COMPLETED, …]`. */
  readonly #history: (readonly number[])[] = [];

  constructor(reads: LiveReads) {
    this.#reads = reads;
  }

  /** Also says which task it is about, where it is about one. */
  async read(to: ViewName, onTask: (seq: number) => void): Promise<View> {
    switch (to.view) {
      case 'overview':
        return this.#overview();
      case 'nodes':
        return this.#nodes();
      case 'events':
        return {
          fields: {},
          rows: (await this.#reads.cluster.events(EVENTS_SHOWN, null)).map(eventRow),
        };
      case 'workflows': {
        const { workflows, next } = await this.#reads.workflows.list(WORKFLOWS_SHOWN, null);
        return {
          fields: { next },
          rows: workflows.map((each) => rowOf(each.id, workflowBody(each, null))),
        };
      }
      case 'schedules': {
        const { schedules, next } = await this.#reads.schedules.list(SCHEDULES_SHOWN, null);
        const rows: View['rows'][number][] = [];
        for (const schedule of schedules) {
          const body = JSON.parse(await scheduleText(this.#reads, schedule)) as object;
          rows.push(rowOf(schedule.id, body));
        }
        return { fields: { next }, rows };
      }
      case 'tasks': {
        const { status = null, type = null, workflow = null, tag = null } = to;
        const limit = to.limit ?? TASKS_SHOWN;
        const asked = { status, type, workflow, tag, limit, before: null };
        const { tasks, next } = await this.#reads.tasks.list(asked);
        return { fields: { next }, rows: tasks.map((task) => rowOf(task.id, summaryBody(task))) };
      }
      case 'task':
        return this.#task(to.id, onTask);
      case 'workflow':
        return this.#workflow(to.id);
    }
  }

  async #overview(): Promise<View> {
    const { cluster, tasks, attention } = this.#reads;
    const [{ term, leader, nodes, counts }, troubles, failover, events, failed] = await Promise.all(
      [
        cluster.cluster(),
        attention.attention(),
        attention.failover(),
        cluster.events(NEWS_SHOWN, null),
        tasks.list({
          ...{ status: 'FAILED', type: null, workflow: null, tag: null },
          ...{ limit: NEWS_SHOWN, before: null },
        }),
      ],
    );
    const { QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, SKIPPED } = counts;
    const point = [Date.now(), QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, SKIPPED];
    this.#history.push(point);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    return {
      fields: {
        ...{ term, leader, counts, point },
        failover: failover === null ? null : failoverBody(failover),
        attention: attentionBody(troubles, nodes),
        events: events.map(eventRow),
        failed: failed.tasks.map(summaryBody),
      },
      rows: nodes.map((node) => rowOf(node.name, nodeBody(node))),
      beginning: { history: [...this.#history] },
    };
  }

  async #nodes(): Promise<View> {
    const { cluster, tasks } = this.#reads;
    const [nodes, running] = await Promise.all([
      cluster.nodes(),
      tasks.list({
        ...{ status: 'RUNNING', type: null, workflow: null, tag: null },
        ...{ limit: RUNNING_SHOWN, before: null },
      }),
    ]);
    const shown = running.tasks.map(({ id, node, type, startedAt }) => ({
      ...{ id, node, type },
      started_at: startedAt?.toISOString() ?? null,
    }));
    return {
      fields: { running: shown },
      rows: nodes.map((node) => rowOf(node.name, nodeBody(node))),
    };
  }

  async #task(id: string, onTask: (seq: number) => void): Promise<View> {
    const { tasks } = this.#reads;
    const task = await tasks.find(id);
    if (task === null) throw errors.notFound(`the task ${id}`);
    onTask(task.seq);
    const [waitingFor, attempts] = await Promise.all([
      task.status === 'QUEUED' ? tasks.waitingFor(task.seq) : null,
      tasks.attempts(task.seq),
    ]);
    const fields = JSON.parse(taskText(task, waitingFor)) as Record<string, unknown>;
    return { fields: { ...fields, attempts: JSON.parse(attemptsText(attempts)) }, rows: [] };
  }

  async #workflow(id: string): Promise<View> {
    const { workflows } = this.#reads;
    const workflow = await workflows.find(id);
    if (workflow === null) throw errors.notFound(`the workflow ${id}`);
    const graph = await workflows.graph(id, GRAPH_ROWS_MAX);
    const isWhole = graph !== 'too-large' && graph !== null;
    return {
      fields: { ...workflowBody(workflow, null), is_graph_shown: isWhole },
      rows: !isWhole
        ? []
        : graph.map((node) => ({
            ...{ id: node.id, type: node.type, status: node.status },
            dependencies: node.dependencies,
            expected_ms: node.expectedMs ?? node.durationMs,
            started_at: node.startedAt?.toISOString() ?? null,
            finished_at: node.finishedAt?.toISOString() ?? null,
          })),
    };
  }
}

function rowOf(id: string, body: object): object & { readonly id: string } {
  return { ...body, id };
}

function eventRow(event: EventRecord): object & { readonly id: string } {
  const { eventId, at, kind, node, term, detail } = event;
  const said = JSON.parse(detail) as unknown;
  return rowOf(String(eventId), { at: at.toISOString(), kind, node, term, detail: said });
}
