import type { TaskStatus } from '../core/task.ts';
import type {
  AttemptView,
  AuditView,
  ClusterView,
  Counts,
  EventView,
  KeyView,
  ScheduleView,
  TaskLine,
  TaskView,
  TypeView,
  WorkflowView,
} from './ports.ts';
import type { Column } from './table.ts';
import { Table } from './table.ts';
import { oneLine } from './terminal.ts';
import type { Paint } from './terminal.ts';
import { spokenTime } from './time.ts';
import type { Look } from './watch.ts';

/** What people see of the bodies; programs ask for --json. */
const COLOURS: Readonly<Record<TaskStatus, Parameters<Paint>[0]>> = {
  QUEUED: 'dim',
  RUNNING: 'cyan',
  COMPLETED: 'green',
  FAILED: 'red',
  CANCELLED: 'yellow',
  SKIPPED: 'yellow',
};

export function statusText(status: TaskStatus, paint: Paint, text: string = status): string {
  return paint(COLOURS[status], text);
}

export function taskTable(paint: Paint): Table<TaskLine> {
  return new Table<TaskLine>(TASK_COLUMNS, paint);
}

const TASK_COLUMNS: readonly Column<TaskLine>[] = [
  {
    title: 'STATUS',
    cell: ({ status }) => status,
    paint: ({ status }, text, paint) => statusText(status, paint, text),
  },
  { title: 'TYPE', cell: ({ type }) => type },
  { title: 'PRIORITY (1 FIRST)', cell: ({ priority }) => String(priority), isRight: true },
  {
    title: 'ATTEMPT',
    cell: (task) => `${String(task.attempt)}/${String(task.max_attempts)}`,
    isRight: true,
  },
  { title: 'NODE', cell: ({ node }) => node ?? '–' },
  { title: 'CREATED', cell: ({ created_at }) => created_at },
  { title: 'RAN', cell: (task) => ranFor(task) ?? '–', isRight: true },
  { title: 'ID', cell: ({ id }) => id },
];

export function scheduleTable(paint: Paint): Table<ScheduleView> {
  return new Table<ScheduleView>(SCHEDULE_COLUMNS, paint);
}

const SCHEDULE_COLUMNS: readonly Column<ScheduleView>[] = [
  {
    title: 'WHEN',
    cell: ({ cron, timezone, every_ms: everyMs }) =>
      everyMs === undefined ? `${cron ?? ''} ${timezone ?? ''}` : `every ${spokenTime(everyMs)}`,
  },
  {
    title: 'NEXT',
    cell: ({ paused, next_fires: [next] }) => (paused ? 'paused' : (next ?? '–')),
    paint: ({ paused }, text, paint) => (paused ? paint('yellow', text) : text),
  },
  { title: 'LAST', cell: ({ last_fire_at: last }) => last ?? '–' },
  {
    title: 'STATUS',
    cell: ({ last_run: run }) => run?.status ?? '–',
    paint: ({ last_run: last }, text, paint) =>
      Object.hasOwn(COLOURS, last?.status ?? '')
        ? statusText(last?.status as TaskStatus, paint, text)
        : text,
  },
  { title: 'FIRED', cell: ({ counts }) => String(counts.fired), isRight: true },
  {
    title: 'NOT',
    cell: ({ counts }) => String(counts.skipped + counts.missed + counts.refused),
    isRight: true,
  },
  { title: 'ID', cell: ({ id }) => id },
  {
    title: 'PROBLEM',
    cell: ({ problem }) => problem?.message ?? '–',
    paint: ({ problem }, text, paint) => (problem === null ? text : paint('red', text)),
  },
];

function ranFor(run: Pick<TaskLine, 'started_at' | 'finished_at'>): string | undefined {
  if (run.started_at === null || run.finished_at === null) return undefined;
  return spokenTime(Date.parse(run.finished_at) - Date.parse(run.started_at));
}

/** Every field of a body on a line of its own; values that are no text as JSON. */
export function fieldLines(body: object, paint: Paint): readonly string[] {
  const fields = Object.entries(body) as readonly (readonly [string, unknown])[];
  const width = fields.reduce((most, [key]) => Math.max(most, key.length), 0);
  return fields.map(([key, value]) => {
    const text = oneLine(typeof value === 'string' ? value : JSON.stringify(value));
    const isStatus = key === 'status' && Object.hasOwn(COLOURS, text);
    const note = key === 'priority' ? paint('dim', '  (1 is the most urgent, 100 the least)') : '';
    const shown = isStatus ? statusText(text as TaskStatus, paint) : text;
    return `${paint('dim', key.padEnd(width))}  ${shown}${note}`;
  });
}

/** `COMPLETED  103 tasks in 4.31 s  <id>`: how what was watched ended. */
export function outcomeOf(look: Look<object>, paint: Paint): string {
  const { counts, total, isSuccess, body } = look;
  const took = tookOf(body);
  const status = 'status' in body ? String(body.status) : isSuccess ? 'COMPLETED' : 'NOT COMPLETED';
  const others = Object.entries(counts).filter(
    ([name, count]) => count > 0 && (name !== 'COMPLETED' || !isSuccess),
  );
  const parts = [
    total === 1 && 'dependencies' in body ? undefined : `${String(total)} tasks`,
    ...(total === 1 ? [] : others.map(([name, count]) => `${String(count)} ${name.toLowerCase()}`)),
    'error' in body ? errorText(body as TaskView) : undefined,
    took === undefined ? undefined : `in ${took}`,
    'id' in body ? oneLine(String(body.id)) : undefined,
  ].filter((text) => text !== undefined);
  return [paint(isSuccess ? 'green' : 'red', status), ...parts].join('  ');
}

function errorText({ error }: Pick<TaskView, 'error'>): string | undefined {
  return error === null ? undefined : oneLine(`${error.code}: ${error.message}`);
}

/** A task from its start, a workflow from its submit. */
function tookOf(body: object): string | undefined {
  const { started_at, created_at, finished_at } = body as Partial<TaskView & WorkflowView>;
  const from = started_at === undefined ? created_at : started_at;
  if (from == null || finished_at == null) return undefined;
  return spokenTime(Date.parse(finished_at) - Date.parse(from));
}

export function clusterLines(cluster: ClusterView, paint: Paint): readonly string[] {
  const { term, leader, nodes, counts } = cluster;
  const alive = nodes.filter(({ state }) => state === 'alive');
  const slots = alive.reduce((sum, node) => sum + node.slots, 0);
  const used = alive.reduce((sum, node) => sum + node.running, 0);
  const facts = [
    `leader ${paint('bold', leader ?? 'none')}`,
    `term ${String(term)}`,
    alive.length === 1 ? '1 node alive' : `${String(alive.length)} nodes alive`,
    `${String(used)} of ${String(slots)} slots used`,
  ];
  return [
    facts.join(' · '),
    '',
    ...new Table(NODE_COLUMNS, paint).lines(nodes),
    '',
    countsLine(counts, paint),
  ];
}

const NODE_COLUMNS: readonly Column<ClusterView['nodes'][number]>[] = [
  { title: 'NODE', cell: (node) => node.name + (node.is_leader ? ' (leader)' : '') },
  {
    title: 'STATE',
    cell: ({ state }) => state,
    paint: ({ state }, text, paint) => paint(state === 'alive' ? 'green' : 'yellow', text),
  },
  { title: 'SLOTS', cell: ({ slots }) => String(slots), isRight: true },
  { title: 'USED', cell: ({ running }) => String(running), isRight: true },
  { title: 'PID', cell: ({ pid }) => String(pid), isRight: true },
  { title: 'HTTP', cell: ({ http_url }) => http_url },
  { title: 'GRPC', cell: ({ grpc_address }) => grpc_address },
  { title: 'VERSION', cell: ({ version }) => version },
];

export function typeTable(paint: Paint): Table<TypeView> {
  return new Table<TypeView>(TYPE_COLUMNS, paint);
}

const TYPE_COLUMNS: readonly Column<TypeView>[] = [
  { title: 'TYPE', cell: ({ type }) => type },
  {
    title: 'STATE',
    cell: ({ paused }) => (paused ? 'paused' : 'runs'),
    paint: ({ paused }, text, paint) => paint(paused ? 'yellow' : 'green', text),
  },
  {
    title: 'MAX RUNNING',
    cell: ({ max_running: max }) => (max === null ? 'none' : String(max)),
    isRight: true,
  },
  { title: 'NODES', cell: ({ nodes }) => (nodes.length === 0 ? '-' : nodes.join(', ')) },
];

function countsLine(counts: Counts, paint: Paint): string {
  const parts = Object.entries(counts) as readonly (readonly [TaskStatus, number])[];
  return parts
    .map(([status, count]) => `${statusText(status, paint)} ${String(count)}`)
    .join(' · ');
}

export function attemptTable(paint: Paint): Table<AttemptView> {
  return new Table<AttemptView>(ATTEMPT_COLUMNS, paint);
}

const ATTEMPT_COLUMNS: readonly Column<AttemptView>[] = [
  { title: 'ATTEMPT', cell: ({ attempt }) => String(attempt), isRight: true },
  { title: 'OUTCOME', cell: ({ outcome }) => outcome },
  { title: 'NODE', cell: ({ node }) => node ?? '-' },
  { title: 'STARTED', cell: (attempt) => attempt.started_at ?? '-' },
  { title: 'RAN', cell: (attempt) => tookOf(attempt) ?? '-', isRight: true },
  { title: 'ERROR', cell: (attempt) => errorText(attempt) ?? '-' },
];

export function workflowTable(paint: Paint): Table<WorkflowView> {
  return new Table<WorkflowView>(WORKFLOW_COLUMNS, paint);
}

const WORKFLOW_COLUMNS: readonly Column<WorkflowView>[] = [
  { title: 'STATUS', cell: ({ status }) => status },
  {
    title: 'ENDED',
    cell: ({ counts }) => {
      const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
      return `${String(total - counts.QUEUED - counts.RUNNING)}/${String(total)}`;
    },
    isRight: true,
  },
  { title: 'CREATED', cell: (workflow) => workflow.created_at },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ID', cell: ({ id }) => id },
];

export function eventTable(paint: Paint): Table<EventView> {
  return new Table<EventView>(EVENT_COLUMNS, paint);
}

const EVENT_COLUMNS: readonly Column<EventView>[] = [
  { title: 'AT', cell: ({ at }) => at },
  { title: 'EVENT', cell: ({ kind }) => kind },
  { title: 'NODE', cell: ({ node }) => node ?? '-' },
  { title: 'TERM', cell: ({ term }) => (term === null ? '-' : String(term)), isRight: true },
  { title: 'DETAIL', cell: ({ detail }) => JSON.stringify(detail) },
];

export function keyTable(paint: Paint): Table<KeyView> {
  return new Table<KeyView>(KEY_COLUMNS, paint);
}

const KEY_COLUMNS: readonly Column<KeyView>[] = [
  { title: 'ID', cell: ({ id }) => id },
  { title: 'NAME', cell: ({ name }) => name },
  { title: 'ROLE', cell: ({ role }) => role },
  { title: 'NAMESPACE', cell: ({ namespace }) => namespace },
  { title: 'STATUS', cell: ({ status }) => status },
  { title: 'EXPIRES', cell: (key) => key.expires_at ?? 'never' },
  { title: 'LAST USED', cell: (key) => key.last_used_at ?? 'never' },
];

export function auditTable(paint: Paint): Table<AuditView> {
  return new Table<AuditView>(AUDIT_COLUMNS, paint);
}

const AUDIT_COLUMNS: readonly Column<AuditView>[] = [
  { title: 'AT', cell: ({ at }) => at },
  { title: 'WHO', cell: ({ actor }) => actor },
  { title: 'FROM', cell: ({ address }) => address },
  { title: 'WHAT', cell: ({ action }) => action },
  { title: 'TARGET', cell: ({ target }) => target ?? '-' },
  {
    title: 'STATUS',
    cell: ({ status }) => (status === null ? '-' : String(status)),
    isRight: true,
  },
  { title: 'DETAIL', cell: ({ detail }) => (detail === null ? '-' : JSON.stringify(detail)) },
];
