import { fileURLToPath } from 'node:url';
import { grouped, onRig } from '../measure.ts';
import type { Scenario } from '../measure.ts';
import { drain } from './drain.ts';

const HANDLERS = fileURLToPath(new URL('../handlers/', import.meta.url));

/** As `drain`, of a type that a user's module runs in threads, beside the built-in one in the same rounds. */
export const THREADS: Scenario = {
  name: 'threads',
  what: "tasks of a user's module, which does nothing, in threads, beside built-in ones",
  measure: (options) =>
    onRig(options, { extraFlags: ['--handlers', HANDLERS] }, async (rig, round) => {
      const { tasks } = options;
      const own = { type: 'quick', what: `drain of ${grouped(tasks)} tasks in threads` };
      return [
        await drain(rig, { tasks, name: `threads-${String(round)}`, ...own }),
        await drain(rig, { tasks, name: `beside-${String(round)}` }),
      ];
    }),
};
