import type { LoadTask } from '../load.ts';
import { grouped, onRig } from '../measure.ts';
import type { Scenario } from '../measure.ts';
import { batchesOf, postAll } from '../poster.ts';
import { lastSeq, prove } from '../proof.ts';

/**
 * Tasks come in at all nodes and run as they come: from the first request sent to the last end. Client and
 * database are on one machine, hence on one clock.
 */
export const SUSTAINED: Scenario = {
  name: 'sustained',
  what: 'submitted and run at the same time, batches at all nodes',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => {
      const { tasks } = options;
      const afterSeq = await lastSeq(rig);
      const requests = batchesOf(
        Array.from({ length: tasks }, (_, at): LoadTask => ({
          ...{ id: `flow-${String(round)}-${String(at)}`, type: 'noop' },
        })),
      );
      await rig.prepare();
      const cost = await rig.cost(async () => {
        const sentMs = Date.now();
        await postAll(rig.urls, CONNECTIONS, requests);
        await rig.untilGone(afterSeq);
        return (await rig.numbers(SECONDS, [afterSeq, sentMs]))[0] ?? NaN;
      });
      await prove(rig, afterSeq, tasks);
      return [
        {
          what: `${grouped(tasks)} tasks in batches of 1,000, submitted and run`,
          ...{ unit: 'tasks/s', value: tasks / cost.seconds, cost: { ...cost, tasks } },
        },
      ];
    }),
};

/** One a node: more would only wait there. */
const CONNECTIONS = 3;
const SECONDS = `
select extract(epoch from max(finished_at)) - $2::float8 / 1000
from skein.task where seq > $1`;
