import type { Handler } from '../core/handler.ts';

/** Waits for `duration_ms` (0 where the task carries none). */
export const sleep: Handler = {
  type: 'sleep',
  async run(task, context) {
    await context.sleep(task.durationMs ?? 0);
    return null;
  },
};
