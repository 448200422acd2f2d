import { isTyping } from '../keys.ts';
import type { Viewport } from './viewport.ts';

/** Joins a viewport to the hands of its reader: drag, wheel, two fingers, keys. */
const CLICK_PX = 4;
const STEP_PX = 80;
const ZOOM_STEP = 1.25;

export interface Hands {
  readonly onFit: () => void;
  readonly onFollow: () => void;
  /** Any move of the reader's own. */
  readonly onMove: () => void;
}

/** The returned function lets go again. */
export function handle(element: HTMLElement, viewport: Viewport, hands: Hands): () => void {
  const gone = new AbortController();
  const { signal } = gone;
  listenToPointers(element, viewport, hands, signal);
  const onWheel = (event: WheelEvent): void => {
    event.preventDefault();
    hands.onMove();
    const { left, top } = element.getBoundingClientRect();
    const lines = event.deltaMode === 1 ? 18 : 1;
    if (event.shiftKey) viewport.pan(-event.deltaY * lines, 0);
    else {
      const factor = Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016));
      viewport.zoom(factor, event.clientX - left, event.clientY - top);
    }
  };
  // Not passive: the page must not scroll under a zoom.
  element.addEventListener('wheel', onWheel, { passive: false, signal });
  document.addEventListener('keydown', (event) => onKey(event, viewport, hands, element), {
    signal,
  });
  const observer = new ResizeObserver(() => {
    viewport.resize(element.clientWidth, element.clientHeight);
  });
  observer.observe(element);
  viewport.resize(element.clientWidth, element.clientHeight);
  return () => {
    gone.abort();
    observer.disconnect();
  };
}

function listenToPointers(
  element: HTMLElement,
  viewport: Viewport,
  hands: Hands,
  signal: AbortSignal,
): void {
  const held = new Map<number, { x: number; y: number }>();
  let movedPx = 0;
  element.addEventListener(
    'pointerdown',
    (event) => {
      if (event.button !== 0) return;
      if (held.size === 0) movedPx = 0;
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
    },
    { signal },
  );
  element.addEventListener(
    'pointermove',
    (event) => {
      const last = held.get(event.pointerId);
      if (last === undefined) return;
      const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
      movedPx += Math.abs(dx) + Math.abs(dy);
      if (movedPx <= CLICK_PX) return;
      if (!element.hasPointerCapture(event.pointerId)) element.setPointerCapture(event.pointerId);
      hands.onMove();
      const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
      held.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (other === undefined) viewport.pan(dx, dy);
      else {
        const before = Math.hypot(last.x - other.x, last.y - other.y);
        const after = Math.hypot(event.clientX - other.x, event.clientY - other.y);
        const { left, top } = element.getBoundingClientRect();
        const [x, y] = [(event.clientX + other.x) / 2, (event.clientY + other.y) / 2];
        viewport.zoom(after / Math.max(1, before), x - left, y - top);
      }
    },
    { signal },
  );
  const release = (event: PointerEvent): void => {
    held.delete(event.pointerId);
  };
  element.addEventListener('pointerup', release, { signal });
  element.addEventListener('pointercancel', release, { signal });
  // The end of a drag is no click on what lies under it.
  element.addEventListener(
    'click',
    (event) => {
      if (movedPx > CLICK_PX) event.stopPropagation();
      movedPx = 0;
    },
    { capture: true, signal },
  );
}

function onKey(event: KeyboardEvent, viewport: Viewport, hands: Hands, element: HTMLElement): void {
  if (isTyping(event)) return;
  const { key } = event;
  const isHere = element.contains(document.activeElement);
  const pans: Readonly<Record<string, readonly [number, number]>> = {
    ArrowLeft: [STEP_PX, 0],
    ArrowRight: [-STEP_PX, 0],
    ArrowUp: [0, STEP_PX],
    ArrowDown: [0, -STEP_PX],
  };
  const pan = pans[key];
  if (key === '+' || key === '=' || key === '-') {
    hands.onMove();
    viewport.zoom(key === '-' ? 1 / ZOOM_STEP : ZOOM_STEP);
  } else if (key === '0') hands.onFit();
  else if (key === 'f') hands.onFollow();
  else if (pan !== undefined && isHere) {
    event.preventDefault();
    hands.onMove();
    viewport.pan(...pan);
  }
}
