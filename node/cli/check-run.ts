import type { ScheduledTask } from '../core/ideal-schedule.ts';
import type { TaskStatus } from '../core/task.ts';

/**
 * Whether a workflow ran as its graph says, judged by the times that the cluster recorded: all of one
 * clock, the database's.
 */
export interface GraphView {
  readonly nodes: readonly {
    readonly id: string;
    readonly status: TaskStatus;
    readonly duration_ms: number | null;
    readonly started_at: string | null;
    readonly finished_at: string | null;
  }[];
  /** From a dependency to its dependent. */
  readonly edges: readonly (readonly [string, string])[];
}

export interface RunCheck {
  readonly tasks: number;
  readonly edges: number;
  /** A sentence for every edge whose dependent started before its dependency had ended. */
  readonly violations: readonly string[];
  readonly notCompleted: readonly { readonly id: string; readonly status: TaskStatus }[];
  /** Milliseconds since the epoch; null where nothing started, or nothing ended. */
  readonly firstStartMs: number | null;
  readonly lastFinishMs: number | null;
  /** From the first start to the last end. */
  readonly makespanMs: number | null;
}

export function checkRun(graph: GraphView): RunCheck {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const violations = graph.nodes
    .filter((node) => node.status === 'COMPLETED' && !hasTimes(node))
    .map(({ id }) => `${id} is COMPLETED without the times of its run`);
  for (const [from, to] of graph.edges) {
    const [parent, child] = [byId.get(from), byId.get(to)];
    // A dependent that never started cannot have started too early.
    if (child === undefined || child.started_at === null) continue;
    const finishedAt = parent?.finished_at ?? null;
    if (finishedAt === null) {
      violations.push(`${to} started at ${child.started_at}, and ${from} has not finished`);
    } else if (Date.parse(child.started_at) < Date.parse(finishedAt)) {
      violations.push(
        `${to} started at ${child.started_at}, before ${from} ended at ${finishedAt}`,
      );
    }
  }
  const firstStartMs = extreme(graph, 'started_at', Math.min);
  const lastFinishMs = extreme(graph, 'finished_at', Math.max);
  return {
    tasks: graph.nodes.length,
    edges: graph.edges.length,
    violations,
    notCompleted: graph.nodes
      .filter(({ status }) => status !== 'COMPLETED')
      .map(({ id, status }) => ({ id, status })),
    firstStartMs,
    lastFinishMs,
    makespanMs: firstStartMs === null || lastFinishMs === null ? null : lastFinishMs - firstStartMs,
  };
}

/** The graph as the ideal schedule takes it. */
export function scheduledTasksOf(graph: GraphView): readonly ScheduledTask[] {
  const places = new Map(graph.nodes.map(({ id }, place) => [id, place]));
  const dependencies = graph.nodes.map((): number[] => []);
  for (const [from, to] of graph.edges) {
    const [parent, child] = [places.get(from), places.get(to)];
    if (parent !== undefined && child !== undefined) dependencies[child]?.push(parent);
  }
  return graph.nodes.map((node, place) => ({
    durationMs: node.duration_ms ?? 0,
    dependencies: dependencies[place] ?? [],
  }));
}

function hasTimes(node: GraphView['nodes'][number]): boolean {
  return node.started_at !== null && node.finished_at !== null;
}

function extreme(
  graph: GraphView,
  field: 'started_at' | 'finished_at',
  choose: (a: number, b: number) => number,
): number | null {
  let found: number | null = null;
  for (const node of graph.nodes) {
    const text = node[field];
    if (text === null) continue;
    const ms = Date.parse(text);
    found = found === null ? ms : choose(found, ms);
  }
  return found;
}
