import { useEffect, useState } from 'preact/hooks';
import { page, reasonOf } from './api.ts';

/** What is not in the live protocol is asked for again and again, while the page is seen. */
export interface Polled<T> {
  readonly items: readonly T[] | null;
  readonly fault: string | null;
  /** Asks at once: after something was changed here. */
  readonly again: () => void;
}

const POLL_MS = 2000;

export function usePoll<T>(path: string): Polled<T> {
  const [items, setItems] = useState<readonly T[] | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    let timer: number | undefined;
    const state = { isGone: false };
    const look = async (): Promise<void> => {
      if (document.visibilityState === 'visible') {
        try {
          const found = await page(path);
          if (state.isGone) return;
          setItems(found.items as readonly T[]);
          setFault(null);
        } catch (thrown) {
          if (!state.isGone) setFault(reasonOf(thrown));
        }
      }
      if (!state.isGone) timer = window.setTimeout(() => void look(), POLL_MS);
    };
    void look();
    return () => {
      state.isGone = true;
      clearTimeout(timer);
    };
  }, [path, turn]);
  return { items, fault, again: () => setTurn((before) => before + 1) };
}
