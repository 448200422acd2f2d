import type { ComponentChildren, JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { concernsOf } from './attention.ts';
import type { Counts, EventRow, NodeRow, TaskRow, WorkflowRow } from './bodies.ts';
import { Chart } from './chart.tsx';
import { EventLine } from './events.tsx';
import { compact, count, plural, said, span, timeOf } from './format.ts';
import { Icon } from './icons.tsx';
import type { View } from './live.ts';
import { Ago, Bar, Empty, Head, Spark, Status, Tally, TaskLink, Waiting } from './parts.tsx';
import { now, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** What happens in the cluster, and first what needs somebody. */
export function Overview(): JSX.Element {
  const { view, fault } = useView<NodeRow>({ view: 'overview' });
  if (view === null) return <Waiting fault={fault} />;
  const counts = view.fields['counts'] as Counts;
  const isNew = Object.values(counts).every((each) => each === 0);
  return (
    <div class="stack">
      <Head title="Overview" note={<Leadership view={view} />} />
      <Concerns view={view} fault={fault} />
      {isNew ? <Welcome /> : null}
      <Figures view={view} nodes={view.rows} />
      <div class="columns">
        <RunningWorkflows />
        <section class="card" aria-label="Failed last">
          <div class="cardhead">
            <h2>Failed last</h2>
            <a href={linkTo('tasks', '', { status: 'FAILED' })}>All that failed</a>
          </div>
          <Failed tasks={view.fields['failed'] as readonly TaskRow[]} />
        </section>
        <section class="card" aria-label="Events">
          <div class="cardhead">
            <h2>Events</h2>
            <a href={linkTo('events')}>All events</a>
          </div>
          <ul class="plain lines">
            {(view.fields['events'] as readonly EventRow[]).slice(0, 6).map((event) => (
              <EventLine key={event.id} event={event} />
            ))}
          </ul>
        </section>
      </div>
    </div>
  );
}

function Leadership({ view }: { readonly view: View }): JSX.Element {
  const { leader, term, failover, events } = view.fields;
  const elected = (events as readonly EventRow[]).find(({ kind }) => kind === 'elected');
  const last = failover as { readonly at: string; readonly after_ms: number | null } | undefined;
  return (
    <>
      {leader === null ? (
        <b class="status failed">nobody leads</b>
      ) : (
        <>
          <b class="leads">
            <Icon of="crown" />
            {said(leader)}
          </b>{' '}
          leads
        </>
      )}
      , term {said(term)}
      {last == null ? null : (
        <>
          {' '}
          · last failover <Ago at={last.at} />
          {last.after_ms === null ? '' : `, after ${span(last.after_ms)}`}
        </>
      )}
      {last == null && elected !== undefined ? (
        <>
          {' '}
          · since <Ago at={elected.at} />
        </>
      ) : null}
    </>
  );
}

function Concerns(props: {
  readonly view: View<NodeRow>;
  readonly fault: string | null;
}): JSX.Element {
  const { view, fault } = props;
  const concerns = concernsOf({
    ...{ leader: view.fields['leader'], counts: view.fields['counts'] as Counts, fault },
    ...{ nodes: view.rows, nowMs: now.value },
    attention: view.fields['attention'] ?? {},
  });
  if (concerns.length === 0) {
    return (
      <p class="calm">
        <Icon of="check" /> Nothing needs attention.
      </p>
    );
  }
  return (
    <section class="card attention" aria-label="Needs attention">
      <h2>
        <Icon of="alert" /> Needs attention
      </h2>
      <ul class="plain">
        {concerns.map(({ text, href, act, isGrave }) => (
          <li key={text} class={isGrave ? 'grave' : ''}>
            <span>{text}</span>
            <a href={href}>{act}</a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Welcome(): JSX.Element {
  return (
    <div class="card">
      <Empty icon="workflows" title="This cluster waits for its first task.">
        <a href={linkTo('new')}>Submit one here</a>, or on the command line:{' '}
        <code>npx skein submit FILE --url {location.origin}</code>
      </Empty>
    </div>
  );
}

/** As in the live protocol: a time, six counts, and four lengths that may not be known. */
type Point = readonly (number | null)[];
const POINTS_MAX = 600;
const ENDS = [3, 4, 5, 6];
const READY = [7, 8] as const;
const RUN = [9, 10] as const;

/** The points of the snapshot, and those that came since. */
function usePoints(view: View): readonly Point[] {
  const points = useRef<readonly Point[]>([]);
  const beginning = useRef<unknown>(null);
  const { history, point } = view.fields;
  if (history !== beginning.current) {
    beginning.current = history;
    points.current = history as readonly Point[];
  }
  if (points.current.at(-1)?.[0] !== (point as Point)[0]) {
    points.current = [...points.current, point as Point].slice(-POINTS_MAX);
  }
  return points.current;
}

function Figures(props: { readonly view: View; readonly nodes: readonly NodeRow[] }): JSX.Element {
  const points = usePoints(props.view);
  const counts = props.view.fields['counts'] as Counts;
  return (
    <>
      <Tiles counts={counts} nodes={props.nodes} points={points} />
      <div class="card sum">
        <Bar counts={counts} />
        <Tally counts={counts} />
      </div>
      <Charts points={points} />
    </>
  );
}

const column = (points: readonly Point[], at: number): readonly number[] =>
  points.map((point) => point[at] ?? 0);
const medians = (points: readonly Point[], at: number): readonly (number | null)[] =>
  points.map((point) => point[at] ?? null);
const SPARK_POINTS = -120;

function Tiles(props: {
  readonly counts: Counts;
  readonly nodes: readonly NodeRow[];
  readonly points: readonly Point[];
}): JSX.Element {
  const { counts, nodes, points } = props;
  const alive = nodes.filter(({ state }) => state === 'alive');
  const slots = alive.reduce((sum, node) => sum + node.slots, 0);
  const [running, queued] = [counts['RUNNING'] ?? 0, counts['QUEUED'] ?? 0];
  const ended = ratesOf(points, ENDS);
  const ready = medians(points, READY[0]);
  const lastReady = ready.findLast((value) => value !== null) ?? null;
  const listed = (status: string): string => linkTo('tasks', '', { status });
  return (
    <div class="tiles">
      <Tile name="Throughput" value={compact(ended.at(-1) ?? 0)} unit="tasks ended a second">
        <Spark values={ended.slice(SPARK_POINTS)} />
      </Tile>
      <Tile name="Running" value={count(running)} unit={`of ${plural(slots, 'slot')}`}>
        <meter min={0} max={Math.max(1, slots)} value={Math.min(slots, running)}>
          {running} of {slots}
        </meter>
      </Tile>
      <Tile name="Backlog" value={count(queued)} unit="queued" href={listed('QUEUED')}>
        <Spark values={column(points, 1).slice(SPARK_POINTS)} />
      </Tile>
      <Tile
        name="Latency"
        value={lastReady === null ? '–' : span(lastReady)}
        unit="from ready to leased, median"
      >
        <Spark values={ready.slice(SPARK_POINTS).map((value) => value ?? 0)} />
      </Tile>
      <Tile
        name="Failed"
        value={count(counts['FAILED'] ?? 0)}
        unit="in all"
        href={listed('FAILED')}
      >
        <Spark values={ratesOf(points, [4]).slice(SPARK_POINTS)} />
      </Tile>
    </div>
  );
}

function Charts({ points }: { readonly points: readonly Point[] }): JSX.Element {
  const times = points.map(([ms]) => (ms ?? 0) / 1000);
  return (
    <div class="charts">
      <Chart
        title="Throughput, tasks a second"
        times={times}
        series={[
          { name: 'ended', tone: 'completed', values: ratesOf(points, ENDS) },
          { name: 'failed', tone: 'failed', values: ratesOf(points, [4]), isDashed: true },
        ]}
      />
      <Chart
        title="Backlog"
        times={times}
        series={[
          { name: 'queued', tone: 'queued', values: column(points, 1) },
          { name: 'running', tone: 'running', values: column(points, 2), isDashed: true },
        ]}
      />
      <Chart
        title="Ready to leased"
        times={times}
        format={span}
        series={[
          { name: 'median', tone: 'running', values: medians(points, READY[0]) },
          {
            name: '95 of 100',
            tone: 'cancelled',
            values: medians(points, READY[1]),
            isDashed: true,
          },
        ]}
      />
      <Chart
        title="Run time"
        times={times}
        format={span}
        series={[
          { name: 'median', tone: 'skipped', values: medians(points, RUN[0]) },
          { name: '95 of 100', tone: 'cancelled', values: medians(points, RUN[1]), isDashed: true },
        ]}
      />
    </div>
  );
}

function Tile(props: {
  readonly name: string;
  readonly value: string;
  readonly unit: string;
  readonly href?: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  const inside = (
    <>
      <span class="name">{props.name}</span>
      <strong>{props.value}</strong>
      <small>{props.unit}</small>
      {props.children}
    </>
  );
  if (props.href === undefined) return <div class="card tile">{inside}</div>;
  return (
    <a class="card tile" href={props.href}>
      {inside}
    </a>
  );
}

/** How much each second added to the sum of some columns. */
function ratesOf(points: readonly Point[], columns: readonly number[]): readonly number[] {
  const total = (point: Point): number => columns.reduce((sum, at) => sum + (point[at] ?? 0), 0);
  return points.map((point, at) => {
    const before = points[at - 1];
    if (before === undefined) return 0;
    const seconds = Math.max(0.001, ((point[0] ?? 0) - (before[0] ?? 0)) / 1000);
    return Math.max(0, total(point) - total(before)) / seconds;
  });
}

function Failed({ tasks }: { readonly tasks: readonly TaskRow[] }): JSX.Element {
  if (tasks.length === 0) return <Empty icon="check" title="Nothing has failed." />;
  return (
    <ul class="plain lines">
      {tasks.slice(0, 6).map((task) => (
        <li key={task.id}>
          <Status of={task.status} />
          <TaskLink id={task.id} />
          <Ago at={task.finished_at} />
        </li>
      ))}
    </ul>
  );
}

function RunningWorkflows(): JSX.Element {
  const { view } = useView<WorkflowRow>({ view: 'workflows' });
  const rows = view?.rows ?? [];
  const running = rows.filter(({ status }) => status === 'RUNNING');
  const shown = (running.length > 0 ? running : rows).slice(0, 5);
  return (
    <section class="card" aria-label="Workflows">
      <div class="cardhead">
        <h2>{running.length > 0 ? `Workflows that run` : 'Workflows'}</h2>
        <a href={linkTo('workflows')}>All workflows</a>
      </div>
      {shown.length === 0 ? <Empty title="There is none yet." /> : null}
      <ul class="plain progresses">
        {shown.map((workflow) => (
          <li key={workflow.id}>
            <a class="id" href={linkTo('workflow', workflow.id)}>
              {workflow.name}
            </a>
            <small>
              {timeOf(workflow.finished_at) === null ? 'began ' : 'ended '}
              <Ago at={workflow.finished_at ?? workflow.created_at} />
            </small>
            <Bar counts={workflow.counts} />
          </li>
        ))}
      </ul>
    </section>
  );
}
