import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { GraphRow } from '../bodies.ts';
import { span } from '../format.ts';
import { Icon } from '../icons.tsx';
import { colours } from '../palette.ts';
import type { Plan } from './plan.ts';
import { cut } from './svg-view.tsx';

/**
 * When each task of a workflow ran, a line each, in the order of their starts; what has not ended goes
 * on as it is expected to, in outline. Painted on one canvas that stays in its window while the list
 * scrolls under it, so that its cost is that of the lines that are seen.
 */
interface TimelineProps {
  readonly rows: readonly GraphRow[];
  readonly plan: Plan;
  readonly nowMs: number;
  readonly isLive: boolean;
  readonly chosen: string | null;
  readonly isCriticalShown: boolean;
  readonly nameOf: (id: string) => string;
  readonly onChoose: (id: string) => void;
}

const LINE_PX = 22;
const HEAD_PX = 30;
const NAMES_PX = { wide: 210, narrow: 110 };
const FONT = '11.5px "DejaVu Sans Condensed", ui-sans-serif, sans-serif';
const GLYPHS: Readonly<Record<string, string>> = { FAILED: '✕', CANCELLED: '⊘', SKIPPED: '»' };

export function Timeline(props: TimelineProps): JSX.Element {
  const { rows, plan, onChoose } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [zoom, setZoom] = useState(1);
  const latest = useRef(props);
  latest.current = props;
  const order = useMemo(() => orderOf(rows, plan), [rows, plan]);
  const paint = useRef((): void => undefined);
  paint.current = () => {
    const [element, sheet] = [scroller.current, canvas.current];
    if (element !== null && sheet !== null) paintAll(element, sheet, latest.current, order, zoom);
  };
  const ask = usePainter(scroller, () => paint.current());
  const onClick = (event: MouseEvent): void => {
    const top = scroller.current?.scrollTop ?? 0;
    const place = order[Math.floor((event.offsetY - HEAD_PX + top) / LINE_PX)];
    const id = place === undefined ? undefined : rows[place]?.id;
    if (id !== undefined && event.offsetY > HEAD_PX) onChoose(id);
  };
  const tasks = `${String(order.length)} tasks over ${span(plan.toMs - plan.fromMs)}`;
  const label = `${tasks}; the list of its tasks says the same in words`;
  const height = HEAD_PX + order.length * LINE_PX + 12;
  return (
    <div class="canvas">
      <div
        ref={scroller}
        class="timeline"
        tabIndex={0}
        role="region"
        aria-label="Timeline of the workflow"
        onScroll={ask}
      >
        <div
          class="extent"
          style={{ height: `${String(height)}px`, width: `${String(100 * zoom)}%` }}
        >
          <canvas ref={canvas} role="img" onClick={onClick} aria-label={label} />
        </div>
      </div>
      <div class="tools" role="toolbar" aria-label="View of the timeline">
        <button type="button" aria-label="Zoom in" onClick={() => setZoom(larger(zoom))}>
          <Icon of="plus" />
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => setZoom(smaller(zoom))}>
          <Icon of="minus" />
        </button>
        <button type="button" onClick={() => setZoom(1)}>
          <Icon of="fit" /> Fit
        </button>
      </div>
    </div>
  );
}

const larger = (zoom: number): number => Math.min(32, zoom * 1.6);
const smaller = (zoom: number): number => Math.max(1, zoom / 1.6);

/** Paints once a frame at most: when asked, drawn anew, given another size or another scheme. */
function usePainter(
  place: { readonly current: HTMLElement | null },
  paint: () => void,
): () => void {
  const wanted = useRef(0);
  const ask = (): void => {
    if (wanted.current !== 0) return;
    wanted.current = requestAnimationFrame(() => {
      wanted.current = 0;
      paint();
    });
  };
  useEffect(ask);
  useEffect(() => {
    const observer = new ResizeObserver(ask);
    if (place.current !== null) observer.observe(place.current);
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', ask);
    return () => {
      observer.disconnect();
      scheme.removeEventListener('change', ask);
      cancelAnimationFrame(wanted.current);
    };
  }, []);
  return ask;
}

function orderOf(rows: readonly GraphRow[], { tasks }: Plan): readonly number[] {
  return rows
    .map((_row, place) => place)
    .filter((place) => tasks[place] != null)
    .toSorted((a, b) => (tasks[a]?.fromMs ?? 0) - (tasks[b]?.fromMs ?? 0));
}

function paintAll(
  element: HTMLElement,
  canvas: HTMLCanvasElement,
  props: TimelineProps,
  order: readonly number[],
  zoom: number,
): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const [width, height] = [element.clientWidth, element.clientHeight];
  const ratio = devicePixelRatio;
  canvas.style.width = `${String(width)}px`;
  canvas.style.height = `${String(height)}px`;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const names = width < 640 ? NAMES_PX.narrow : NAMES_PX.wide;
  const { plan } = props;
  const whole = (width - names - 20) * zoom;
  const wholeMs = Math.max(1, plan.toMs - plan.fromMs);
  const xOf = (ms: number): number =>
    names + 8 + ((ms - plan.fromMs) / wholeMs) * whole - element.scrollLeft;
  const colour = colours();
  const stage = { context, colour, width, height, names, xOf };
  context.font = FONT;
  paintGrid(stage, plan, whole);
  context.save();
  context.beginPath();
  context.rect(0, HEAD_PX, width, height - HEAD_PX);
  context.clip();
  const first = Math.max(0, Math.floor(element.scrollTop / LINE_PX));
  const last = Math.min(order.length, first + Math.ceil(height / LINE_PX) + 1);
  for (let line = first; line < last; line++) {
    const y = HEAD_PX + line * LINE_PX - element.scrollTop;
    paintLine(stage, props, order[line] ?? 0, y);
  }
  context.restore();
  if (!props.isLive) return;
  const x = xOf(props.nowMs);
  if (x < names) return;
  context.fillStyle = colour('link');
  context.fillRect(x, 16, 1.5, height);
  context.fillRect(x - 18, 3, 37, 15);
  context.fillStyle = colour('on-link');
  context.textAlign = 'center';
  context.fillText('now', x + 0.5, 14);
}

interface Stage {
  readonly context: CanvasRenderingContext2D;
  readonly colour: (name: string) => string;
  readonly width: number;
  readonly height: number;
  readonly names: number;
  readonly xOf: (ms: number) => number;
}

const STEPS_S = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400];
const STEP_PX = 90;

function paintGrid(
  { context, colour, width, height, names, xOf }: Stage,
  plan: Plan,
  whole: number,
): void {
  const wholeMs = plan.toMs - plan.fromMs;
  const wanted = (wholeMs / 1000 / whole) * STEP_PX;
  const step = 1000 * (STEPS_S.find((each) => each >= wanted) ?? 86_400);
  context.textAlign = 'left';
  for (let ms = 0; ms <= wholeMs; ms += step) {
    const x = xOf(plan.fromMs + ms);
    if (x < names || x > width) continue;
    context.fillStyle = colour('line');
    context.fillRect(x, HEAD_PX - 8, 1, height);
    context.fillStyle = colour('dim');
    context.fillText(ms === 0 ? '0' : span(ms), x + 4, HEAD_PX - 12);
  }
  context.fillStyle = colour('line');
  context.fillRect(0, HEAD_PX - 1, width, 1);
}

function paintLine(stage: Stage, props: TimelineProps, place: number, y: number): void {
  const { context, colour, width, names, xOf } = stage;
  const { rows, plan, nowMs, chosen, nameOf, isCriticalShown } = props;
  const row = rows[place];
  const task = plan.tasks[place];
  if (row === undefined || task == null) return;
  if (row.id === chosen) {
    context.fillStyle = colour('tint');
    context.fillRect(0, y, width, LINE_PX);
  }
  const tone = colour(row.status.toLowerCase());
  const isMarked = isCriticalShown && plan.critical.has(place);
  const [from, to] = [xOf(task.fromMs), xOf(task.toMs)];
  const doneTo = task.isGuess ? from : xOf(Math.min(task.toMs, Math.max(nowMs, task.fromMs)));
  const [top, high] = [y + 4, LINE_PX - 8];
  // What is still to come is an outline, what has been is filled.
  context.lineWidth = 1;
  context.strokeStyle = tone;
  context.globalAlpha = 0.75;
  context.setLineDash(task.isGuess ? [3, 3] : []);
  if (row.finished_at === null) {
    context.strokeRect(from + 0.5, top + 0.5, Math.max(2, to - from - 1), high - 1);
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
  if (!task.isGuess) {
    const end = row.finished_at === null ? doneTo : to;
    context.fillStyle = tone;
    context.fillRect(from, top, Math.max(2, end - from), high);
  }
  if (isMarked) {
    context.fillStyle = colour('link');
    context.fillRect(from, top + high + 1.5, Math.max(2, to - from), 2);
  }
  context.textAlign = 'left';
  const glyph = GLYPHS[row.status];
  context.fillStyle = colour('dim');
  const label = `${glyph === undefined ? '' : `${glyph} `}${span(task.toMs - task.fromMs)}`;
  if (to + 60 < width) context.fillText(task.isGuess ? `~ ${label}` : label, to + 6, y + 15);
  // The names stay where they are when the bars are moved.
  context.fillStyle = row.id === chosen ? colour('tint') : colour('paper');
  context.fillRect(0, y, names, LINE_PX);
  context.fillStyle = tone;
  context.fillRect(10, y + 7, 7, 7);
  context.fillStyle = colour('text');
  context.fillText(cut(nameOf(row.id), Math.floor((names - 30) / 6.3)), 24, y + 15);
}
