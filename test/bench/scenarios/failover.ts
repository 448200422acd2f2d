import { million } from '../../outages/million.ts';
import { NO_HEARTBEATS } from '../heartbeats.ts';
import { grouped } from '../measure.ts';
import type { Row, Scenario } from '../measure.ts';

/** How long nobody leases after a kill -9 of the leader while very many tasks wait. */
export const FAILOVER: Scenario = {
  name: 'failover',
  what: 'kill -9 of the leader with a million queued, until the next leases',
  measure: async ({ main, runs, tasks, say, signal }) => {
    const queued = tasks * 10;
    const report = await million({ ...{ main, queued, say, signal }, count: runs });
    const [fault] = report.faults;
    if (fault !== undefined) throw new Error(`no figure: ${fault}`);
    const rows = Object.entries(report.figures)
      .filter(([name]) => name.startsWith('lease'))
      .flatMap(([name, { count, p50, max }]) =>
        [
          { share: `p50 of ${String(count)}`, value: p50 },
          { share: `max of ${String(count)}`, value: max },
        ].map(({ share, value }): Row => ({
          what: `kill -9 of the leader, ${grouped(queued)} queued: ${name}, ${share}`,
          ...{ unit: 'ms', values: [value ?? NaN], costs: [] },
        })),
      );
    return { rows, heartbeats: NO_HEARTBEATS };
  },
};
