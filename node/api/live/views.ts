import { errors } from '../../base/errors.ts';
import type { News } from '../../core/messages.ts';
import type { EventRecord, NodeRecord } from '../../store/cluster-reader.ts';
import type { TaskSummary } from '../../store/task-list.ts';
import { LiveCounts } from './counts.ts';
import type { Patch, View } from './topic.ts';
import type { ViewName } from './messages.ts';
import type {
  AttentionPort,
  ClusterReaderPort,
  SchedulesPort,
  TaskReaderPort,
  WorkflowReaderPort,
} from '../ports.ts';
import { scheduleText } from '../schedules.ts';
import {
  attentionBody,
  attemptsText,
  failoverBody,
  nodeBody,
  summaryBody,
  taskText,
  workflowBody,
} from '../views.ts';

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
const POINT_MS = 950;
/** Runs that ended, for the lanes of the nodes: some minutes of a quiet cluster, a moment of a busy one. */
const ENDED_MAX = 300;

export class LiveViews {
  readonly #reads: LiveReads;
  readonly #counts = new LiveCounts();
  /** Names of nodes by their numbers: all that were ever read. */
  readonly #names = new Map<number, string>();
  /** `[milliseconds since the epoch, QUEUED, RUNNING, COMPLETED, …]`, and quantiles. */
  readonly #history: (readonly (number | null)[])[] = [];
  /** Runs that ended lately, and those of the last delta. */
  #ended: readonly object[] = [];
  #lastEnded: readonly object[] = [];
  #pointMs = Number.NEGATIVE_INFINITY;

  constructor(reads: LiveReads) {
    this.#reads = reads;
  }

  nameOf(nodeId: number): string | null {
    return this.#names.get(nodeId) ?? null;
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    const nodes = await this.#reads.cluster.nodes();
    this.#learn(nodes);
    return nodes;
  }

  heard(news: News, nowMs: number): void {
    this.#counts.heard(news, nowMs);
  }

  /** The leader is another one, or gone. */
  forgetNews(): void {
    this.#counts.forget();
  }

  /** What news changes of the views about the cluster as a whole. */
  patchOf(view: 'overview' | 'nodes', { holderIds, held }: News, nowMs: number): Patch {
    const running = new Map<string, number>();
    for (const [at, nodeId] of holderIds.entries()) {
      const name = this.#names.get(nodeId);
      if (name !== undefined) running.set(name, (running.get(name) ?? 0) + (held[at] ?? 0));
    }
    const rows = new Map<string, object>();
    for (const name of this.#names.values()) rows.set(name, { running: running.get(name) ?? 0 });
    if (view === 'nodes') return { rows };
    const counts = this.#counts.now;
    if (counts === null) return { rows };
    const point = this.#maybePoint(nowMs);
    return {
      rows,
      fields: { counts, ...(point === null ? {} : { point }) },
      beginning: { history: [...this.#history] },
    };
  }

  /** Runs that have just ended, for those who draw them. */
  ended(tasks: readonly TaskSummary[]): Patch {
    const ended = tasks.flatMap((task) => (task.startedAt === null ? [] : [endedRun(task)]));
    if (ended.length === 0) return {};
    this.#lastEnded = ended;
    this.#ended = [...this.#ended, ...ended].slice(-ENDED_MAX);
    return { fields: { ended }, beginning: { recent: this.#ended } };
  }

  async read(to: ViewName, nowMs: number): Promise<View> {
    switch (to.view) {
      case 'overview':
        return this.#overview(nowMs);
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
        return {
          fields: { next },
          rows: tasks.map((task) => rowOf(task.id, summaryBody(task))),
          seqs: tasks.map(({ seq }) => seq),
        };
      }
      case 'task':
        return this.#task(to.id);
      case 'workflow':
        return this.#workflow(to.id);
    }
  }

  async #overview(nowMs: number): Promise<View> {
    const { cluster, tasks, attention } = this.#reads;
    const [{ term, leader, nodes, counts: counted, countedMs }, events, failed] = await Promise.all(
      [
        cluster.cluster(),
        cluster.events(NEWS_SHOWN, null),
        tasks.list({
          ...{ status: 'FAILED', type: null, workflow: null, tag: null },
          ...{ limit: NEWS_SHOWN, before: null },
        }),
      ],
    );
    const troubles = await attention.attention(term);
    const { failover } = troubles;
    this.#learn(nodes);
    this.#counts.counted(counted, countedMs);
    const counts = this.#counts.now ?? counted;
    this.#maybePoint(nowMs);
    const point = this.#history.at(-1);
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

  /** Once a second; null in between. */
  #maybePoint(nowMs: number): readonly (number | null)[] | null {
    const counts = this.#counts.now;
    if (counts === null || nowMs - this.#pointMs < POINT_MS) return null;
    this.#pointMs = nowMs;
    const { QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, SKIPPED } = counts;
    const point = [
      ...[Date.now(), QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED, SKIPPED],
      ...this.#counts.quantilesMs(nowMs),
    ];
    this.#history.push(point);
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    return point;
  }

  #learn(nodes: readonly NodeRecord[]): void {
    for (const { nodeId, name } of nodes) this.#names.set(nodeId, name);
  }

  async #nodes(): Promise<View> {
    const { tasks } = this.#reads;
    const [nodes, running] = await Promise.all([
      this.nodes(),
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
      fields: { running: shown, ended: this.#lastEnded },
      rows: nodes.map((node) => rowOf(node.name, nodeBody(node))),
      beginning: { recent: this.#ended },
    };
  }

  async #task(id: string): Promise<View> {
    const { tasks } = this.#reads;
    const task = await tasks.find(id);
    if (task === null) throw errors.notFound(`the task ${id}`);
    const [waitingFor, attempts] = await Promise.all([
      task.status === 'QUEUED' ? tasks.waitingFor(task.seq) : null,
      tasks.attempts(task.seq),
    ]);
    const fields = JSON.parse(taskText(task, waitingFor)) as Record<string, unknown>;
    return {
      fields: { ...fields, attempts: JSON.parse(attemptsText(attempts)) },
      rows: [],
      seqs: [task.seq],
    };
  }

  async #workflow(id: string): Promise<View> {
    const { workflows } = this.#reads;
    const workflow = await workflows.find(id);
    if (workflow === null) throw errors.notFound(`the workflow ${id}`);
    const graph = await workflows.graph(id, GRAPH_ROWS_MAX);
    const isWhole = graph !== 'too-large' && graph !== null;
    return {
      fields: { ...workflowBody(workflow, null), is_graph_shown: isWhole },
      seqs: isWhole ? graph.map(({ seq }) => seq) : [],
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

function endedRun({ id, node, type, status, startedAt, finishedAt }: TaskSummary): object {
  return {
    ...{ id, node, type, status },
    started_at: startedAt?.toISOString() ?? null,
    finished_at: finishedAt?.toISOString() ?? null,
  };
}

function eventRow(event: EventRecord): object & { readonly id: string } {
  const { eventId, at, kind, node, term, detail } = event;
  const said = JSON.parse(detail) as unknown;
  return rowOf(String(eventId), { at: at.toISOString(), kind, node, term, detail: said });
}
