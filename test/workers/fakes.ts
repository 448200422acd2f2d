import type { Handler } from '../../node/core/handler.ts';
import type { LeaseStorePort } from '../../node/worker/ports.ts';

/** A handler that ends when the test says so, and says when it begins. */
export class Held implements Handler {
  readonly type: string;
  readonly begun: {
    readonly id: string;
    readonly signal: AbortSignal;
    readonly end: (result: unknown) => void;
    readonly fail: (error: Error) => void;
  }[] = [];
  private readonly waiting = new Set<() => void>();

  constructor(type = 'held') {
    this.type = type;
  }

  readonly run: Handler['run'] = (task, { signal }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      this.begun.push({ id: task.id, signal, end: resolve, fail: reject });
      for (const wake of this.waiting) wake();
      this.waiting.clear();
    });

  async hasBegun(count: number): Promise<void> {
    while (this.begun.length < count) {
      await new Promise<void>((resolve) => this.waiting.add(resolve));
    }
  }
}

/** A handler of one type, by its function alone. */
export function handlerOf(type: string, run: Handler['run']): Handler {
  return { type, run };
}

/** Lists in lists, so many deep. */
export function nested(depth: number): unknown {
  let inner: unknown = [];
  for (let i = 0; i < depth; i++) inner = [inner];
  return inner;
}

const refuse = (): Promise<never> => Promise.reject(new Error('not asked for'));
/** A store that was not expected to be asked. */
export const NO_STORE: LeaseStorePort = {
  work: refuse,
  deaths: refuse,
  results: refuse,
  markStarted: refuse,
  completeMany: refuse,
  settleMany: refuse,
  verifyMany: refuse,
};
