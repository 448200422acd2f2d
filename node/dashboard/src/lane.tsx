import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { NodeRow } from './bodies.ts';
import { span } from './format.ts';
import { colours, typeEdge, typeFill } from './palette.ts';
import { goTo, linkTo } from './route.ts';
import type { Run, TaskStream } from './stream.ts';

/** What ran on a node, as bars that move to the left; a row stands for a slot. */
interface LaneProps {
  readonly node: NodeRow;
  readonly stream: TaskStream;
  readonly windowMs: number;
}

const ROW_PX = 24;
const AXIS_PX = 18;
const ROWS_MAX = 12;
/** Motion costs: a stream of bars need not be smoother than that. */
const FRAME_MS = 50;
const CALM_FRAME_MS = 1000;
const FONT = '11px "DejaVu Sans Condensed", ui-sans-serif, sans-serif';

export function Lane(props: LaneProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const [pointed, setPointed] = useState<Run | null>(null);
  const rows = Math.min(ROWS_MAX, Math.max(1, props.node.slots));
  const height = rows * ROW_PX + AXIS_PX;
  useEffect(() => {
    const isCalm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const pauseMs = isCalm ? CALM_FRAME_MS : FRAME_MS;
    let [frame, lastMs] = [0, 0];
    const turn = (ms: number): void => {
      frame = requestAnimationFrame(turn);
      if (ms - lastMs < pauseMs || canvas.current === null) return;
      lastMs = ms;
      paint(canvas.current, latest.current, rows);
    };
    frame = requestAnimationFrame(turn);
    return () => cancelAnimationFrame(frame);
  }, [rows]);
  const runAt = (event: MouseEvent): Run | null => {
    const { stream, node, windowMs } = props;
    const width = canvas.current?.clientWidth ?? 1;
    const atMs = Date.now() - windowMs * (1 - event.offsetX / width);
    const row = Math.floor(event.offsetY / ROW_PX);
    const nearMs = (3 / width) * windowMs;
    const hit = stream
      .runsOf(node.name)
      .findLast(
        (run) =>
          run.row % rows === row &&
          run.fromMs - nearMs <= atMs &&
          (run.toMs ?? Date.now()) + nearMs >= atMs,
      );
    return hit ?? null;
  };
  return (
    <div class="lane">
      <canvas
        ref={canvas}
        style={{ height: `${String(height)}px`, cursor: pointed === null ? 'default' : 'pointer' }}
        role="img"
        aria-label={`What ran on ${props.node.name}; its tasks are listed below`}
        onMouseMove={(event) => setPointed(runAt(event))}
        onMouseLeave={() => setPointed(null)}
        onClick={(event) => {
          const run = runAt(event);
          if (run !== null) goTo(linkTo('task', run.id));
        }}
      />
      <p class="pointed" aria-hidden="true">
        {pointed === null ? '' : sentenceOf(pointed)}
      </p>
      <Running {...props} />
    </div>
  );
}

function sentenceOf({ id, type, fromMs, toMs, status }: Run): string {
  const took = span((toMs ?? Date.now()) - fromMs);
  return `${id} · ${type} · ${toMs === null ? `runs for ${took}` : `${status ?? 'ended'} after ${took}`}`;
}

const LISTED_MAX = 24;

/** The same as the stream for who cannot see it, and a way to each task. */
function Running({ node, stream }: LaneProps): JSX.Element | null {
  const running = stream.runsOf(node.name).filter(({ toMs }) => toMs === null);
  if (running.length === 0) return null;
  return (
    <ul class="plain running" aria-label={`Tasks that run on ${node.name}`}>
      {running.slice(0, LISTED_MAX).map(({ id, type }) => (
        <li key={id}>
          <a class="id" href={linkTo('task', id)} title={`${id} (${type})`}>
            {id.slice(id.indexOf('/') + 1)}
          </a>
        </li>
      ))}
      {running.length > LISTED_MAX ? <li>and {running.length - LISTED_MAX} more</li> : null}
    </ul>
  );
}

function paint(
  canvas: HTMLCanvasElement,
  { node, stream, windowMs }: LaneProps,
  rows: number,
): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const colour = colours();
  const nowMs = Date.now();
  const xOf = (ms: number): number => width * (1 - (nowMs - ms) / windowMs);
  context.font = FONT;
  context.fillStyle = colour('sunken');
  for (let row = 0; row < rows; row++) context.fillRect(0, row * ROW_PX + 1, width, ROW_PX - 3);
  paintAxis(context, { width, height, windowMs, xOf, nowMs, colour });
  for (const run of stream.runsOf(node.name)) {
    const to = xOf(run.toMs ?? nowMs);
    if (to < 0) continue;
    paintRun(context, run, { from: Math.max(-2, xOf(run.fromMs)), to, rows, colour });
  }
}

interface Axis {
  readonly width: number;
  readonly height: number;
  readonly windowMs: number;
  readonly xOf: (ms: number) => number;
  readonly nowMs: number;
  readonly colour: (name: string) => string;
}

function paintAxis(context: CanvasRenderingContext2D, axis: Axis): void {
  const { width, height, windowMs, xOf, nowMs, colour } = axis;
  const stepMs = windowMs / 6;
  context.textAlign = 'right';
  for (let at = 0; at < 6; at++) {
    const x = xOf(nowMs - at * stepMs);
    context.fillStyle = colour('line');
    context.fillRect(x - 1, 0, 1, height - AXIS_PX);
    context.fillStyle = colour('dim');
    context.fillText(at === 0 ? 'now' : `−${span(at * stepMs)}`, Math.min(width, x), height - 4);
  }
}

interface RunPlace {
  readonly from: number;
  readonly to: number;
  readonly rows: number;
  readonly colour: (name: string) => string;
}

function paintRun(context: CanvasRenderingContext2D, run: Run, place: RunPlace): void {
  const { from, to, rows, colour } = place;
  const [y, high] = [(run.row % rows) * ROW_PX + 2, ROW_PX - 5];
  const width = Math.max(1.5, to - from);
  context.fillStyle = typeFill(run.type);
  context.fillRect(from, y, width, high);
  context.fillStyle = typeEdge(run.type);
  context.fillRect(from, y, Math.min(2, width), high);
  const hasFailed = run.status === 'FAILED';
  if (hasFailed) {
    context.fillStyle = colour('failed');
    context.fillRect(from, y + high - 3, width, 3);
  }
  if (width < 44) return;
  context.save();
  context.beginPath();
  context.rect(from, y, width - 4, high);
  context.clip();
  context.fillStyle = colour('text');
  context.textAlign = 'left';
  const name = run.id.slice(run.id.indexOf('/') + 1);
  context.fillText(`${hasFailed ? '✕ ' : ''}${name}`, Math.max(from, 0) + 7, y + high / 2 + 4);
  context.restore();
}
