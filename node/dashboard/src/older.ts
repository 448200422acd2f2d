import { useRef, useState } from 'preact/hooks';
import type { Row } from './bodies.ts';
import { page } from './api.ts';

/** The pages behind the live rows, fetched as one scrolls down to them. */
export interface Older<R extends Row> {
  /** The live rows, then the older ones that are not among them. */
  readonly after: (live: readonly R[]) => readonly R[];
  /** Fetches the next page; the first one from where it is told. */
  readonly fetch: (first: string | null) => void;
  readonly hasMore: (liveNext: unknown) => boolean;
}

interface State<R> {
  readonly rows: readonly R[];
  readonly next: string | null;
  readonly isBegun: boolean;
}

export function useOlder<R extends Row>(): Older<R> {
  const [state, setState] = useState<State<R>>({ rows: [], next: null, isBegun: false });
  const busy = useRef(false);
  return {
    after: (live) => {
      if (state.rows.length === 0) return live;
      const shown = new Set(live.map(({ id }) => id));
      return [...live, ...state.rows.filter(({ id }) => !shown.has(id))];
    },
    fetch: (first) => {
      const path = state.isBegun ? state.next : first;
      if (path === null || busy.current) return;
      busy.current = true;
      page(path)
        .then(({ items, next }) => {
          setState((before) => ({
            rows: [...before.rows, ...(items as readonly R[])],
            next,
            isBegun: true,
          }));
        })
        // The next scroll asks again; the line's own mark says when the node is away.
        .catch(() => undefined)
        .finally(() => {
          busy.current = false;
        });
    },
    hasMore: (liveNext) => (state.isBegun ? state.next !== null : liveNext != null),
  };
}
