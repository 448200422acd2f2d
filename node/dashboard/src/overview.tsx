import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { View } from './live.ts';
import { Ago, Bar, Empty, Status, TaskLink, Waiting, now, said, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** What happens in the cluster, and first what needs somebody. */
const STATUSES = ['QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'];

export function Overview(): JSX.Element {
  const { view, fault } = useView({ view: 'overview' });
  if (view === null) return <Waiting fault={fault} />;
  const { fields, rows } = view;
  const counts = fields['counts'] as Readonly<Record<string, number>>;
  const alive = rows.filter(({ state }) => state === 'alive');
  const sum = (key: string): number => alive.reduce((all, node) => all + Number(node[key]), 0);
  return (
    <>
      <h1>Overview</h1>
      <Attention view={view} fault={fault} />
      <div class="tiles">
        <Tile name="Leader" value={said(fields['leader'])} note={`term ${said(fields['term'])}`} />
        <Tile name="Nodes" value={String(alive.length)} note="alive" />
        <Tile
          name="Slots"
          value={`${String(sum('running'))} / ${String(sum('slots'))}`}
          note="used"
        />
        {STATUSES.map((status) => (
          <a key={status} class="tile" href={linkTo('tasks', '', { status })}>
            <Status of={status} />
            <strong>{(counts[status] ?? 0).toLocaleString('en')}</strong>
          </a>
        ))}
      </div>
      <Bar counts={counts} />
      <Charts view={view} />
      <div class="columns">
        <section class="card">
          <h2>Failed last</h2>
          <Failed view={view} />
        </section>
        <section class="card">
          <h2>Events</h2>
          <ul class="plain">
            {(fields['events'] as readonly Readonly<Record<string, unknown>>[]).map((event) => (
              <li key={String(event['id'])}>
                <Ago at={event['at']} /> {said(event['kind'])} <b>{said(event['node'])}</b>
              </li>
            ))}
          </ul>
          <a href={linkTo('events')}>All events</a>
        </section>
      </div>
    </>
  );
}

function Tile(props: {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}): JSX.Element {
  return (
    <div class="tile">
      <span>{props.name}</span>
      <strong>{props.value}</strong>
      <small>{props.note}</small>
    </div>
  );
}

function Failed({ view }: { readonly view: View }): JSX.Element {
  const failed = view.fields['failed'] as readonly Readonly<Record<string, unknown>>[];
  if (failed.length === 0) return <Empty>Nothing has failed.</Empty>;
  return (
    <ul class="plain">
      {failed.map((task) => (
        <li key={String(task['id'])}>
          <TaskLink id={String(task['id'])} /> <Ago at={task['finished_at']} />
        </li>
      ))}
    </ul>
  );
}

const QUIET_MS = 10_000;

function Attention({
  view,
  fault,
}: {
  readonly view: View;
  readonly fault: string | null;
}): JSX.Element | null {
  const { fields, rows } = view;
  const counts = fields['counts'] as Readonly<Record<string, number>>;
  const points: string[] = [];
  if (fault !== null) points.push(`The cluster cannot be read: ${fault}.`);
  if (fields['leader'] === null) points.push('Nobody leads: nothing new starts.');
  for (const node of rows) {
    const silentMs = now.value - Date.parse(String(node['last_heartbeat_at']));
    if (node['state'] === 'lost' || node['state'] === 'dead')
      points.push(`${node.id} is ${said(node['state'])}.`);
    else if (node['state'] === 'alive' && silentMs > QUIET_MS)
      points.push(`${node.id} has not been heard lately.`);
  }
  if ((counts['FAILED'] ?? 0) > 0) points.push(`FAILED tasks: ${String(counts['FAILED'])}.`);
  if (points.length === 0) return <p class="calm">✓ Nothing needs attention.</p>;
  return (
    <section class="attention" aria-label="Needs attention">
      <h2>⚠ Needs attention</h2>
      <ul>
        {points.map((point) => (
          <li key={point}>{point}</li>
        ))}
      </ul>
    </section>
  );
}

type Point = readonly number[];
const POINTS_MAX = 600;

function Charts({ view }: { readonly view: View }): JSX.Element {
  const points = useRef<Point[]>([]);
  const beginning = useRef<unknown>(null);
  const { history, point } = view.fields;
  if (history !== beginning.current) {
    beginning.current = history;
    points.current = [...(history as readonly Point[])];
  }
  const last = points.current.at(-1);
  if (last?.[0] !== (point as Point)[0]) points.current.push(point as Point);
  if (points.current.length > POINTS_MAX) points.current.shift();
  const all = points.current;
  const seconds = all.map(([ms = 0]) => ms / 1000);
  return (
    <div class="charts">
      <Chart
        title="Ended a second"
        times={seconds}
        values={ratesOf(all, [3, 4, 5, 6])}
        tone="completed"
      />
      <Chart
        title="Queued"
        times={seconds}
        values={all.map((each) => each[1] ?? 0)}
        tone="queued"
      />
      <Chart title="Failed a second" times={seconds} values={ratesOf(all, [4])} tone="failed" />
    </div>
  );
}

function ratesOf(points: readonly Point[], columns: readonly number[]): readonly number[] {
  const total = (point: Point): number => columns.reduce((sum, at) => sum + (point[at] ?? 0), 0);
  return points.map((point, at) => {
    const before = points[at - 1];
    if (before === undefined) return 0;
    const seconds = Math.max(0.001, ((point[0] ?? 0) - (before[0] ?? 0)) / 1000);
    return Math.max(0, total(point) - total(before)) / seconds;
  });
}

function Chart(props: {
  readonly title: string;
  readonly times: readonly number[];
  readonly values: readonly number[];
  readonly tone: string;
}): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const { title, times, values, tone } = props;
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    const axis = {
      stroke: colour('dim'),
      grid: { stroke: colour('line') },
      ticks: { show: false },
    };
    plot.current = new uPlot(
      {
        ...{ width: element.clientWidth, height: 150, legend: { show: false } },
        cursor: { y: false },
        scales: { y: { range: (_plot, _low, high) => [0, Math.max(1, high * 1.1)] } },
        axes: [axis, { ...axis, size: 56 }],
        series: [{}, { label: title, stroke: colour(tone), fill: `${colour(tone)}22`, width: 2 }],
      },
      [[], []],
      element,
    );
    const observer = new ResizeObserver(() => {
      plot.current?.setSize({ width: element.clientWidth, height: 150 });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, []);
  useEffect(() => plot.current?.setData([[...times], [...values]]));
  const latest = values.at(-1) ?? 0;
  return (
    <figure class="card">
      <figcaption>
        {title} <strong>{latest.toFixed(latest < 10 && latest % 1 > 0 ? 1 : 0)}</strong>
      </figcaption>
      <div ref={place} />
    </figure>
  );
}
