import type { JSX } from 'preact';
import { memo } from './memo.ts';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import type { GraphRow } from '../bodies.ts';
import { count } from '../format.ts';
import { Sign } from '../icons.tsx';
import { GROUP, cellsIn, curve } from './scene.ts';
import type { Box, Scene } from './scene.ts';
import { boxFor, countsOf, isCritical, neighboursOf, statusOf } from './state.ts';
import type { Shown } from './state.ts';
import type { Viewport } from './viewport.ts';

/** A graph as elements: each box can be reached by the keyboard, and named by a screen reader. */
export interface ViewProps extends Shown {
  readonly viewport: Viewport;
  readonly onChoose: (id: string) => void;
  readonly onToggle: (group: string) => void;
}

export function SvgView(props: ViewProps): JSX.Element {
  const { rows, scene, viewport, chosen, critical, nameOf, onChoose, onToggle } = props;
  const sheet = useRef<SVGGElement>(null);
  useEffect(() => {
    const place = (): void => {
      const { x, y, scale } = viewport;
      sheet.current?.setAttribute(
        'transform',
        `translate(${String(x)} ${String(y)}) scale(${String(scale)})`,
      );
    };
    place();
    return viewport.onChange(place);
  }, [viewport]);
  const near = useMemo(
    () => (chosen === null ? '' : nearPath(rows, scene, chosen)),
    [scene, chosen],
  );
  return (
    <svg class="sheet" width="100%" height="100%">
      <g ref={sheet}>
        <Edges scene={scene} rows={rows} critical={critical} />
        {near === '' ? null : <path class="near" d={near} />}
        {scene.boxes.map((box) =>
          box.members === null ? (
            <TaskBox
              key={box.id}
              box={box}
              status={rows[box.place]?.status ?? 'QUEUED'}
              type={rows[box.place]?.type ?? ''}
              name={nameOf(box.id)}
              isChosen={chosen === box.id}
              isCritical={isCritical(box, critical)}
              onChoose={onChoose}
            />
          ) : (
            <GroupBox
              key={box.id}
              box={box}
              rows={rows}
              cellPx={scene.cellPx}
              isCritical={isCritical(box, critical)}
              onToggle={onToggle}
            />
          ),
        )}
      </g>
    </svg>
  );
}

interface EdgesProps {
  readonly scene: Scene;
  readonly rows: readonly GraphRow[];
  readonly critical: ReadonlySet<number>;
}

const Edges = memo(
  ({ scene, critical }: EdgesProps): JSX.Element => {
    const [plain, marked] = edgePaths(scene, critical);
    return (
      <>
        <path class="edges" d={plain} />
        <path class="edges critical" d={marked} />
      </>
    );
  },
  ({ scene, critical }) => [scene, [...critical].join()],
);

export function edgePaths(scene: Scene, critical: ReadonlySet<number>): readonly [string, string] {
  const [plain, marked]: [string[], string[]] = [[], []];
  const isMarked = (id: string): boolean => {
    const box = scene.boxOf.get(id);
    return box !== undefined && isCritical(box, critical);
  };
  for (const { from, to, path } of scene.edges) {
    (isMarked(from) && isMarked(to) ? marked : plain).push(path);
  }
  return [plain.join(''), marked.join('')];
}

export function nearPath(rows: readonly GraphRow[], scene: Scene, id: string): string {
  const placeOf = new Map(rows.map((row, place) => [row.id, place]));
  return neighboursOf(rows, id)
    .map(([from, to]) => {
      const start = boxFor(scene, from, placeOf.get(from) ?? -1);
      const end = boxFor(scene, to, placeOf.get(to) ?? -1);
      return start === undefined || end === undefined || start === end ? '' : curve(start, end);
    })
    .join('');
}

interface TaskBoxProps {
  readonly box: Box;
  readonly status: string;
  readonly type: string;
  readonly name: string;
  readonly isChosen: boolean;
  readonly isCritical: boolean;
  readonly onChoose: (id: string) => void;
}

const TaskBox = memo(
  (props: TaskBoxProps): JSX.Element => {
    const { box, status, type, name } = props;
    const { id, x, y, width, height } = box;
    const classes = [
      'node',
      status.toLowerCase(),
      props.isChosen ? 'chosen' : '',
      props.isCritical ? 'critical' : '',
    ];
    const isSmall = height < 24;
    const room = Math.floor((width - (isSmall ? 10 : 32)) / 6.3);
    const shown = room < 4 ? '' : cut(name, room);
    return (
      <g
        class={classes.join(' ')}
        transform={`translate(${String(x)} ${String(y)})`}
        role="button"
        tabIndex={0}
        data-id={id}
        aria-label={labelOf(name, shown, status)}
        onClick={() => props.onChoose(id)}
        onKeyDown={(event) => {
          if (event.key === 'Enter') props.onChoose(id);
        }}
      >
        <title>{`${id} · ${type} · ${status}`}</title>
        <rect width={width} height={height} rx={isSmall ? 4 : 7} />
        {isSmall ? null : (
          <g transform={`translate(9 ${String(height / 2 - 6.5)})`}>
            <Sign of={status} size={13} />
          </g>
        )}
        {shown === '' ? null : (
          <text x={isSmall ? 6 : 27} y={height / 2 + 4}>
            {shown}
          </text>
        )}
      </g>
    );
  },
  ({ box, status, isChosen, isCritical: isMarked }) => [box, status, isChosen, isMarked],
);

/** Holds what is written on the box, so that who speaks to the browser can say what is seen. */
function labelOf(name: string, shown: string, status: string): string {
  return shown === name || shown === '' ? `${name}, ${status}` : `${shown} ${name}, ${status}`;
}

interface GroupBoxProps {
  readonly box: Box;
  readonly rows: readonly GraphRow[];
  readonly cellPx: number;
  readonly isCritical: boolean;
  readonly onToggle: (group: string) => void;
}

function GroupBox(props: GroupBoxProps): JSX.Element {
  const { box, rows, cellPx, isCritical: isMarked, onToggle } = props;
  const { id, x, y, width, height, label, isOpen, members } = box;
  const counts = countsOf(rows, members ?? []);
  const status = statusOf(counts);
  const running = counts.byStatus.get('RUNNING') ?? 0;
  const done = counts.total - (counts.byStatus.get('QUEUED') ?? 0) - running;
  const progress = `${count(done)} of ${count(counts.total)}`;
  const shown = cut(label, Math.floor((width - 100) / 7));
  const cells = isOpen ? [] : cellPaths(rows, box, cellPx);
  return (
    <g
      class={`group ${status.toLowerCase()} ${isOpen ? 'open' : ''} ${isMarked ? 'critical' : ''}`}
      transform={`translate(${String(x)} ${String(y)})`}
      role="button"
      tabIndex={0}
      aria-expanded={isOpen}
      aria-label={`${shown} ×${count(counts.total)} ${progress} ended, ${status}`}
      onClick={() => onToggle(id)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') onToggle(id);
      }}
    >
      <title>{`${label}: ${progress} ended. Click to ${isOpen ? 'close' : 'open'} it.`}</title>
      <rect class="frame" width={width} height={height} rx={9} />
      <g transform="translate(12 10)">
        <Sign of={status} size={14} />
      </g>
      <text x={33} y={22} class="label">
        {shown}
      </text>
      <text x={width - 12} y={22} class="times">
        {`×${count(counts.total)}`}
      </text>
      {cells.map(([each, path]) => (
        <path key={each} class={`cells ${each.toLowerCase()}`} d={path} />
      ))}
      {isOpen ? null : (
        <text x={12} y={height - 11} class="small">
          {progress}
        </text>
      )}
      {isOpen || running === 0 ? null : (
        <text x={width - 12} y={height - 11} class="small times">
          {`${count(running)} running`}
        </text>
      )}
    </g>
  );
}

/** Each task of a closed group as a small square, one path for each status. */
export function cellPaths(
  rows: readonly GraphRow[],
  { members, width }: Box,
  size: number,
): readonly (readonly [string, string])[] {
  const { step, columns } = cellsIn(members?.length ?? 0, width, size);
  const paths = new Map<string, string[]>();
  (members ?? []).forEach((place, at) => {
    const status = rows[place]?.status ?? 'QUEUED';
    const path = paths.get(status) ?? [];
    paths.set(status, path);
    const [x, y] = [
      GROUP.inset + (at % columns) * step,
      GROUP.head + Math.floor(at / columns) * step,
    ];
    path.push(`M${String(x)} ${String(y)}h${String(size)}v${String(size)}h-${String(size)}z`);
  });
  return [...paths].map(([status, path]) => [status, path.join('')]);
}

export function cut(text: string, room: number): string {
  return text.length > room ? `${text.slice(0, Math.max(1, room - 1))}…` : text;
}
