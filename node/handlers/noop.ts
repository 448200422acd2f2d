import type { Handler } from '../core/handler.ts';

/** Does nothing, at once: what is left is what Skein itself costs. */
export const noop: Handler = {
  type: 'noop',
  run: () => null,
};
