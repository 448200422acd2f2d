import { ndjson, submitNdjson, untilEnded } from '../load.ts';
import type { LoadTask } from '../load.ts';
import { grouped, onRig } from '../measure.ts';
import type { BenchOptions, Reading, Scenario } from '../measure.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';

/**
 * Graphs that nothing holds up but their edges: one batch at one node, tasks that do nothing. The time is
 * from the request sent to the last end; client and database are on one machine, hence on one clock.
 */
export const FAN_OUT: Scenario = graph(
  'fan-out',
  'one task, then many that depend on it',
  (tasks) => {
    const children = Math.ceil(tasks / 10);
    return {
      what: `fan-out of 1 to ${grouped(children)}`,
      tasks: [{}, ...Array.from({ length: children }, () => ({ parents: [0] }))],
    };
  },
);

export const FAN_IN: Scenario = graph('fan-in', 'one task that depends on many', (tasks) => {
  const parents = Math.ceil(tasks / 20);
  return {
    what: `fan-in of ${grouped(parents)} to 1`,
    tasks: [
      ...Array.from({ length: parents }, () => ({})),
      { parents: Array.from({ length: parents }, (_, at) => at) },
    ],
  };
});

export const LAYERS: Scenario = graph('layers', '20 layers, each task with 3 parents', (tasks) => {
  const wide = Math.ceil(tasks / 200);
  return {
    what: `20 layers of ${grouped(wide)}, 3 parents each`,
    tasks: Array.from({ length: 20 * wide }, (_, at) =>
      at < wide ? {} : { parents: above(at, wide) },
    ),
  };
});

export const CHAIN: Scenario = {
  name: 'chain',
  what: 'tasks that each depend on the one before, a step',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => {
      const steps = Math.ceil(options.tasks / 200);
      const tasks = Array.from({ length: steps }, (_, at) =>
        at === 0 ? {} : { parents: [at - 1] },
      );
      const { cost } = await runGraph(rig, tasks, `chain-${String(round)}`);
      const value = (cost.seconds * 1000) / steps;
      return [{ what: `chain of ${grouped(steps)}, a step`, unit: 'ms', value, cost }];
    }),
};

interface Shape {
  readonly what: string;
  readonly tasks: readonly Place[];
}

interface Place {
  /** Places of the tasks before it. */
  readonly parents?: readonly number[];
}

function graph(name: string, what: string, shapeOf: (tasks: number) => Shape): Scenario {
  const run = async (
    options: BenchOptions,
    rig: Rig,
    round: number,
  ): Promise<readonly Reading[]> => {
    const shape = shapeOf(options.tasks);
    const { cost } = await runGraph(rig, shape.tasks, `${name}-${String(round)}`);
    const value = shape.tasks.length / cost.seconds;
    return [{ what: `${shape.what}, submitted and run`, unit: 'tasks/s', value, cost }];
  };
  return {
    ...{ name, what },
    measure: (options) => onRig(options, {}, (rig, round) => run(options, rig, round)),
  };
}

/** Three of the layer above, spread so that no two tasks have the same. */
function above(at: number, wide: number): readonly number[] {
  const first = at - (at % wide) - wide;
  const steps = [0, 1, Math.ceil(wide / 3) + 1];
  return [...new Set(steps.map((step) => first + ((at + step) % wide)))];
}

const SECONDS = `
select extract(epoch from max(finished_at)) - $2::float8 / 1000
from skein.task where seq > $1`;

async function runGraph(rig: Rig, places: readonly Place[], name: string) {
  const afterSeq = await lastSeq(rig);
  const id = (at: number): string => `${name}-${String(at)}`;
  const chunks = ndjson(places.length, (at): LoadTask => ({
    ...{ id: id(at), type: 'noop', dependencies: (places[at]?.parents ?? []).map(id) },
  }));
  const [first = ''] = rig.urls;
  await rig.prepare();
  const cost = await rig.cost(async () => {
    const sentMs = Date.now();
    await submitNdjson(first, chunks);
    await untilEnded(rig, id(places.length - 1));
    await rig.untilGone(afterSeq);
    return (await rig.numbers(SECONDS, [afterSeq, sentMs]))[0] ?? NaN;
  });
  await prove(rig, afterSeq, places.length);
  return { cost: { ...cost, tasks: places.length } };
}
