import type { JSX } from 'preact';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { count } from '../format.ts';
import { colours } from '../palette.ts';
import { GROUP, cellsIn } from './scene.ts';
import type { Box } from './scene.ts';
import { countsOf, isCritical, statusOf } from './state.ts';
import { cut, edgePaths, nearPath } from './svg-view.tsx';
import type { ViewProps } from './svg-view.tsx';

/**
 * The same graph painted on one canvas as large as its window: for more boxes than a document should hold.
 * It is painted when something has changed, once a frame at most, and only what is seen.
 */
const GLYPHS: Readonly<Record<string, string>> = {
  QUEUED: '○',
  RUNNING: '▶',
  COMPLETED: '✓',
  FAILED: '✕',
  CANCELLED: '⊘',
  SKIPPED: '»',
};
/** Smaller than that on the screen, a text cannot be read. */
const TEXT_SCALE_MIN = 0.55;
const FONT = '"DejaVu Sans Condensed", ui-sans-serif, sans-serif';

export function CanvasView(props: ViewProps): JSX.Element {
  const { scene, viewport, rows, chosen, critical, onChoose, onToggle } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const marks = [...critical].join();
  const paths = useMemo(() => {
    const [plain, marked] = edgePaths(scene, critical);
    return { plain: new Path2D(plain), marked: new Path2D(marked) };
  }, [scene, marks]);
  const near = useMemo(
    () => new Path2D(chosen === null ? '' : nearPath(rows, scene, chosen)),
    [scene, chosen],
  );
  const paint = useRef((): void => undefined);
  paint.current = () => {
    const context = canvas.current?.getContext('2d');
    if (context) paintAll(context, latest.current, { ...paths, near });
  };
  const wanted = useRef(0);
  const ask = (): void => {
    if (wanted.current !== 0) return;
    wanted.current = requestAnimationFrame(() => {
      wanted.current = 0;
      paint.current();
    });
  };
  useEffect(() => viewport.onChange(ask), [viewport]);
  useEffect(() => () => cancelAnimationFrame(wanted.current), []);
  useEffect(ask);
  useEffect(() => {
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', ask);
    return () => scheme.removeEventListener('change', ask);
  }, []);
  const onClick = (event: MouseEvent): void => {
    const at = viewport.toSheet(event.offsetX, event.offsetY);
    const hit = scene.boxes.findLast((box) => contains(box, at));
    if (hit === undefined) return;
    if (hit.members === null) onChoose(hit.id);
    else onToggle(hit.id);
  };
  return (
    <canvas
      ref={canvas}
      class="sheet"
      onClick={onClick}
      role="img"
      aria-label={`${String(rows.length)} tasks; the list of its tasks says the same in words`}
    />
  );
}

function contains(box: Box, { x, y }: { readonly x: number; readonly y: number }): boolean {
  return x >= box.x && x <= box.x + box.width && y >= box.y && y <= box.y + box.height;
}

interface Paths {
  readonly plain: Path2D;
  readonly marked: Path2D;
  readonly near: Path2D;
}

function paintAll(context: CanvasRenderingContext2D, props: ViewProps, paths: Paths): void {
  const { viewport, scene, rows, chosen, critical, nameOf } = props;
  const { canvas } = context;
  const ratio = devicePixelRatio;
  const [width, height] = [viewport.width * ratio, viewport.height * ratio];
  if (canvas.width !== Math.round(width)) canvas.width = Math.round(width);
  if (canvas.height !== Math.round(height)) canvas.height = Math.round(height);
  const colour = colours();
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  const { x, y, scale } = viewport;
  context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
  context.lineWidth = 1.2;
  context.strokeStyle = colour('edge');
  context.stroke(paths.plain);
  context.lineWidth = 2.2;
  context.strokeStyle = colour('link');
  context.stroke(paths.marked);
  const seen = viewport.seen();
  for (const box of scene.boxes) {
    const isOut =
      box.x > seen.x + seen.width ||
      box.x + box.width < seen.x ||
      box.y > seen.y + seen.height ||
      box.y + box.height < seen.y;
    if (isOut) continue;
    if (box.members !== null) paintGroup(context, props, box, colour);
    else {
      const status = rows[box.place]?.status ?? 'QUEUED';
      const isMarked = chosen === box.id || isCritical(box, critical);
      paintTask(context, box, { status, name: nameOf(box.id), isMarked, scale, colour });
    }
  }
  context.lineWidth = 1.8;
  context.strokeStyle = colour('text');
  context.stroke(paths.near);
  const mine = chosen === null ? undefined : scene.boxOf.get(chosen);
  if (mine === undefined) return;
  context.lineWidth = 3;
  context.strokeRect(mine.x - 2, mine.y - 2, mine.width + 4, mine.height + 4);
}

interface TaskPaint {
  readonly status: string;
  readonly name: string;
  readonly isMarked: boolean;
  readonly scale: number;
  readonly colour: (name: string) => string;
}

function paintTask(context: CanvasRenderingContext2D, box: Box, paint: TaskPaint): void {
  const { status, name, isMarked, scale, colour } = paint;
  const { x, y, width, height } = box;
  const tone = colour(status.toLowerCase());
  const isFilled = status !== 'QUEUED';
  if (scale < 0.3) {
    context.fillStyle = tone;
    context.globalAlpha = isFilled ? 1 : 0.35;
    context.fillRect(x, y, width, height);
    context.globalAlpha = 1;
    return;
  }
  context.fillStyle = colour('paper');
  context.fillRect(x, y, width, height);
  context.globalAlpha = isFilled ? 0.22 : 0;
  context.fillStyle = tone;
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
  context.lineWidth = isMarked ? 2.2 : 1.1;
  context.strokeStyle = isMarked ? colour('link') : tone;
  context.strokeRect(x, y, width, height);
  if (scale < TEXT_SCALE_MIN) return;
  context.textAlign = 'left';
  context.font = `${String(Math.min(12, height * 0.62))}px ${FONT}`;
  context.fillStyle = tone;
  context.fillText(GLYPHS[status] ?? '•', x + 6, y + height / 2 + 4);
  if (width < 60) return;
  context.fillStyle = colour('text');
  context.fillText(cut(name, Math.floor((width - 26) / 6.2)), x + 21, y + height / 2 + 4);
}

function paintGroup(
  context: CanvasRenderingContext2D,
  { rows, critical, viewport, scene: { cellPx } }: ViewProps,
  box: Box,
  colour: (name: string) => string,
): void {
  const { x, y, width, height, label, members, isOpen } = box;
  const counts = countsOf(rows, members ?? []);
  const status = statusOf(counts);
  context.fillStyle = colour('paper');
  context.strokeStyle = isCritical(box, critical) ? colour('link') : colour('edge');
  context.lineWidth = isCritical(box, critical) ? 2 : 1.2;
  context.beginPath();
  context.roundRect(x, y, width, height, 9);
  context.fill();
  context.stroke();
  if (viewport.scale * 13 > 5) {
    context.font = `600 13px ${FONT}`;
    context.textAlign = 'left';
    context.fillStyle = colour(status.toLowerCase());
    context.fillText(GLYPHS[status] ?? '•', x + 12, y + 22);
    context.fillStyle = colour('text');
    context.fillText(cut(label, Math.floor((width - 100) / 7)), x + 33, y + 22);
    context.fillStyle = colour('dim');
    context.textAlign = 'right';
    context.fillText(`×${count(counts.total)}`, x + width - 12, y + 22);
  }
  if (isOpen) return;
  const { step, columns } = cellsIn(members?.length ?? 0, width, cellPx);
  (members ?? []).forEach((place, at) => {
    const each = rows[place]?.status ?? 'QUEUED';
    context.globalAlpha = each === 'QUEUED' ? 0.4 : 1;
    context.fillStyle = colour(each.toLowerCase());
    const top = y + GROUP.head + Math.floor(at / columns) * step;
    context.fillRect(x + GROUP.inset + (at % columns) * step, top, cellPx, cellPx);
  });
  context.globalAlpha = 1;
}
