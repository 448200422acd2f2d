import fc from 'fast-check';
import type { Effect, SchedulerEvent } from '../../node/core/events.ts';
import { Scheduler } from '../../node/core/scheduler.ts';
import { graphCase, GraphStory } from './graph-story.ts';
import type { World } from './model-world.ts';

type Step = (
  this: Scheduler,
  nowMs: number,
  events: readonly SchedulerEvent[],
) => readonly Effect[];

/**
 * Runs so many random graphs; rejects with the smallest that is found to end, or to go, as the reference
 * says it cannot, and with what replays it.
 */
export async function proveGraphs(numRuns: number, seed: number): Promise<void> {
  const step: Step = Reflect.get<Scheduler, 'step'>(Scheduler.prototype, 'step');
  let current: World | undefined;
  Scheduler.prototype.step = function (nowMs, events) {
    const effects = step.call(this, nowMs, events);
    current?.faults.push(...this.validate());
    return effects;
  };
  try {
    await fc.assert(
      fc.asyncProperty(graphCase, async (given) => {
        const story = new GraphStory(given);
        current = story.world;
        const faults = await story.run();
        if (faults.length > 0) throw new Error(faults.slice(0, 5).join('; '));
      }),
      { numRuns, seed },
    );
  } finally {
    Scheduler.prototype.step = step;
  }
}
