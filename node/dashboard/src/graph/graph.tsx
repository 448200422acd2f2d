import type { JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { GraphRow } from '../bodies.ts';
import { Icon } from '../icons.tsx';
import { CanvasView } from './canvas-view.tsx';
import { handle } from './handle.ts';
import type { Hands } from './handle.ts';
import { shapeOf } from './layers.ts';
import { sceneOf } from './scene.ts';
import type { Box, Scene } from './scene.ts';
import { boxFor } from './state.ts';
import { SvgView } from './svg-view.tsx';
import { Viewport } from './viewport.ts';
import type { Frame } from './viewport.ts';

/** The graph of a workflow, which can be moved, zoomed and followed. */
interface GraphProps {
  readonly rows: readonly GraphRow[];
  readonly chosen: string | null;
  readonly critical: ReadonlySet<number>;
  readonly nameOf: (id: string) => string;
  readonly onChoose: (id: string) => void;
}

/** Above it, one canvas instead of an element for each box. */
export const SVG_MAX = 400;
const SCALE_MAX = { fit: 1.15, follow: 1 };
const ASPECT = 1.9;
const NONE: ReadonlySet<string> = new Set();

export function Graph(props: GraphProps): JSX.Element {
  const { rows } = props;
  const [opened, setOpened] = useState<ReadonlySet<string>>(NONE);
  const [isFollowing, setFollowing] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const viewport = useMemo(() => new Viewport(), []);
  // Which tasks there are and how they hang together; their states change without a new layout.
  const shape = shapeOf(rows);
  const scene = useMemo(
    () => measured(() => sceneOf(rows, opened, ASPECT, props.nameOf)),
    [shape, opened],
  );
  const fit = (isGliding = true): void => {
    setFollowing(false);
    viewport.show({ x: 0, y: 0, ...sizeOf(scene) }, SCALE_MAX.fit, isGliding);
  };
  useHands(place, viewport, {
    onFit: fit,
    onFollow: () => setFollowing((before) => !before),
    onMove: () => setFollowing(false),
  });
  useEffect(() => fit(false), [shape]);
  useEffect(() => {
    const frame = isFollowing ? maybeFrame(rows, scene) : null;
    if (frame !== null) viewport.show(frame, SCALE_MAX.follow, true);
  }, [rows, scene, isFollowing]);
  const toggle = (group: string): void => {
    const next = new Set(opened);
    if (!next.delete(group)) next.add(group);
    setOpened(next);
  };
  const groups = scene.boxes.filter(({ members }) => members !== null);
  const drawing = { ...props, scene, viewport, onToggle: toggle };
  return (
    <div class="canvas">
      <div
        ref={place}
        class="graph"
        tabIndex={0}
        role="region"
        aria-label="Graph of the workflow"
        data-layout-ms={scene.tookMs.toFixed(1)}
      >
        {scene.boxes.length <= SVG_MAX ? <SvgView {...drawing} /> : <CanvasView {...drawing} />}
      </div>
      <Tools
        isFollowing={isFollowing}
        isOpen={opened.size > 0}
        onOpen={
          groups.length === 0
            ? null
            : () => setOpened(opened.size > 0 ? NONE : new Set(groups.map(({ id }) => id)))
        }
        onFollow={() => setFollowing(!isFollowing)}
        onZoom={(factor) => viewport.zoom(factor)}
        onFit={() => fit()}
      />
    </div>
  );
}

/** The same hands for as long as the graph is there, whatever they do at the moment. */
function useHands(
  place: { readonly current: HTMLDivElement | null },
  viewport: Viewport,
  now: Hands,
): void {
  const hands = useRef(now);
  hands.current = now;
  useEffect(() => {
    if (place.current === null) return undefined;
    return handle(place.current, viewport, {
      onFit: () => hands.current.onFit(),
      onFollow: () => hands.current.onFollow(),
      onMove: () => hands.current.onMove(),
    });
  }, [viewport]);
}

function Tools(props: {
  readonly isFollowing: boolean;
  readonly isOpen: boolean;
  /** Null where there is nothing to open. */
  readonly onOpen: (() => void) | null;
  readonly onFollow: () => void;
  readonly onZoom: (factor: number) => void;
  readonly onFit: () => void;
}): JSX.Element {
  const { isFollowing, isOpen, onOpen, onFollow, onZoom, onFit } = props;
  return (
    <div class="tools" role="toolbar" aria-label="View of the graph">
      {onOpen === null ? null : (
        <button type="button" onClick={onOpen}>
          <Icon of="expand" /> {isOpen ? 'Close all' : 'Open all'}
        </button>
      )}
      <button type="button" aria-pressed={isFollowing} onClick={onFollow}>
        <Icon of="target" /> Follow
      </button>
      <button type="button" aria-label="Zoom in" onClick={() => onZoom(1.25)}>
        <Icon of="plus" />
      </button>
      <button type="button" aria-label="Zoom out" onClick={() => onZoom(0.8)}>
        <Icon of="minus" />
      </button>
      <button type="button" onClick={onFit}>
        <Icon of="fit" /> Fit
      </button>
    </div>
  );
}

function measured(make: () => Scene): Scene & { readonly tookMs: number } {
  const began = performance.now();
  const scene = make();
  return { ...scene, tookMs: performance.now() - began };
}

function sizeOf({ width, height }: Scene): { readonly width: number; readonly height: number } {
  return { width, height };
}

const AROUND = 120;

/** The part of the sheet on which something runs; null where nothing does. */
function maybeFrame(rows: readonly GraphRow[], scene: Scene): Frame | null {
  const running: Box[] = [];
  rows.forEach(({ id, status }, place) => {
    if (status !== 'RUNNING') return;
    const box = boxFor(scene, id, place);
    if (box !== undefined) running.push(box);
  });
  if (running.length === 0) return null;
  const x = Math.min(...running.map((box) => box.x)) - AROUND;
  const y = Math.min(...running.map((box) => box.y)) - AROUND;
  const right = Math.max(...running.map((box) => box.x + box.width)) + AROUND;
  const bottom = Math.max(...running.map((box) => box.y + box.height)) + AROUND;
  return { x, y, width: right - x, height: bottom - y };
}
