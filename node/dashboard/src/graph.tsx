import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { layersOf } from './layers.ts';
import type { Layout } from './layers.ts';
import type { Row } from './live.ts';

/** The graph of a workflow: elements of SVG as long as they are few, else one canvas. */
interface GraphProps {
  readonly rows: readonly Row[];
  readonly chosen: string | null;
  readonly onChoose: (id: string) => void;
}

interface Drawing extends GraphProps {
  readonly layout: Layout;
  readonly zoom: number;
}

const SVG_MAX = 400;
const STEP_X = 130;
const STEP_Y = 34;
const BOX = { width: 100, height: 22 };
const PAD = 20;
/** Of the window, as the style sheet says too. */
const HEIGHT_SHARE = 0.7;
const ZOOMS = [0.1, 0.15, 0.2, 0.27, 0.35, 0.5, 0.75, 1, 1.5];

export function Graph(props: GraphProps): JSX.Element {
  const { rows } = props;
  // Which tasks there are and how they hang together; their states change without a new layout.
  const shape = `${String(rows.length)}${rows[0]?.id ?? ''}${rows.at(-1)?.id ?? ''}`;
  const layout = useMemo(
    () =>
      layersOf(
        rows.map(({ id, dependencies }) => ({ id, dependencies: dependencies as string[] })),
      ),
    [shape],
  );
  const place = useRef<HTMLDivElement>(null);
  const [zoom, setZoom] = useState(1);
  const fit = (): void => {
    const { width, height } = sizeOf(layout);
    const wide = (place.current?.clientWidth ?? 800) / width;
    const high = (window.innerHeight * HEIGHT_SHARE) / height;
    setZoom(ZOOMS.findLast((each) => each <= Math.max(Math.min(wide, high), ZOOMS[0] ?? 0)) ?? 1);
  };
  useEffect(fit, [layout]);
  const step = (by: number): void => {
    setZoom(ZOOMS[Math.min(ZOOMS.length - 1, Math.max(0, ZOOMS.indexOf(zoom) + by))] ?? 1);
  };
  const drawing = { ...props, layout, zoom };
  return (
    <>
      <div class="actions">
        <button type="button" class="small" onClick={() => step(1)}>
          Zoom in
        </button>
        <button type="button" class="small" onClick={() => step(-1)}>
          Zoom out
        </button>
        <button type="button" class="small" onClick={fit}>
          Fit
        </button>
      </div>
      <div ref={place} class="graph" tabIndex={0} role="region" aria-label="Graph of the workflow">
        {rows.length <= SVG_MAX ? <SvgGraph {...drawing} /> : <CanvasGraph {...drawing} />}
      </div>
    </>
  );
}

function sizeOf({ columns, lines }: Layout): { readonly width: number; readonly height: number } {
  return { width: columns * STEP_X + 2 * PAD, height: lines * STEP_Y + 2 * PAD };
}

function placeOf(
  layout: Layout,
  id: string,
): { readonly x: number; readonly y: number } | undefined {
  const place = layout.places.get(id);
  if (place === undefined) return undefined;
  const middle = PAD + (layout.lines * STEP_Y) / 2;
  return { x: PAD + place.column * STEP_X, y: middle + place.line * STEP_Y };
}

function SvgGraph({ rows, layout, zoom, chosen, onChoose }: Drawing): JSX.Element {
  const { width, height } = sizeOf(layout);
  return (
    <svg
      width={width * zoom}
      height={height * zoom}
      viewBox={`0 0 ${String(width)} ${String(height)}`}
    >
      <path class="edges" d={useMemo(() => edgesOf(rows, layout), [layout])} />
      {rows.map((row) => {
        const at = placeOf(layout, row.id);
        if (at === undefined) return null;
        const status = String(row['status']);
        return (
          <g
            key={row.id}
            class={`node ${status.toLowerCase()} ${chosen === row.id ? 'chosen' : ''}`}
            transform={`translate(${String(at.x)} ${String(at.y - BOX.height / 2)})`}
            role="button"
            tabIndex={0}
            aria-label={`${row.id}, ${status}`}
            onClick={() => onChoose(row.id)}
            onKeyDown={(event) => {
              if (event.key === 'Enter') onChoose(row.id);
            }}
          >
            <rect width={BOX.width} height={BOX.height} rx={5} />
            <text x={6} y={15}>
              {nameOf(row.id)}
            </text>
            <title>{`${row.id}: ${status}`}</title>
          </g>
        );
      })}
    </svg>
  );
}

function edgesOf(rows: readonly Row[], layout: Layout): string {
  const parts: string[] = [];
  for (const { id, dependencies } of rows) {
    const to = placeOf(layout, id);
    for (const each of dependencies as readonly string[]) {
      const from = placeOf(layout, each);
      if (from === undefined || to === undefined) continue;
      const [x, turn] = [from.x + BOX.width, (to.x - from.x - BOX.width) / 2];
      parts.push(`M${String(x)} ${String(from.y)}C${String(x + turn)} ${String(from.y)}`);
      parts.push(` ${String(to.x - turn)} ${String(to.y)} ${String(to.x)} ${String(to.y)}`);
    }
  }
  return parts.join('');
}

function nameOf(id: string): string {
  const name = id.slice(id.indexOf('/') + 1);
  return name.length > 14 ? `${name.slice(0, 13)}…` : name;
}

/** A canvas of no more than this side, which every browser can hold. */
const SIDE_MAX = 8000;

function CanvasGraph({ rows, layout, zoom, chosen, onChoose }: Drawing): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = sizeOf(layout);
  const scale = Math.min(zoom, SIDE_MAX / size.width, SIDE_MAX / size.height);
  const edges = useMemo(() => new Path2D(edgesOf(rows, layout)), [layout]);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    context.strokeStyle = colour('line');
    context.stroke(edges);
    for (const row of rows) {
      const at = placeOf(layout, row.id);
      if (at === undefined) continue;
      context.fillStyle = colour(String(row['status']).toLowerCase());
      context.fillRect(at.x, at.y - BOX.height / 2, BOX.width, BOX.height);
      if (chosen !== row.id) continue;
      context.strokeStyle = colour('text');
      context.strokeRect(at.x, at.y - BOX.height / 2, BOX.width, BOX.height);
    }
  }, [rows, edges, scale, chosen]);
  const onClick = (event: MouseEvent): void => {
    const [x, y] = [event.offsetX / scale, event.offsetY / scale];
    const hit = rows.find(({ id }) => {
      const at = placeOf(layout, id);
      return (
        at !== undefined &&
        x >= at.x &&
        x <= at.x + BOX.width &&
        Math.abs(y - at.y) <= BOX.height / 2
      );
    });
    if (hit !== undefined) onChoose(hit.id);
  };
  return (
    <canvas
      ref={canvas}
      width={Math.ceil(size.width * scale)}
      height={Math.ceil(size.height * scale)}
      onClick={onClick}
      role="img"
      aria-label={`${String(rows.length)} tasks; the list of tasks says the same in words`}
    />
  );
}
