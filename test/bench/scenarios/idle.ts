import { systemClock } from '../../../node/base/clock.ts';
import { onRig } from '../measure.ts';
import type { Scenario } from '../measure.ts';

/** What a cluster costs that has nothing to do, once it has settled. */
export const IDLE: Scenario = {
  name: 'idle',
  what: 'what an idle cluster asks of PostgreSQL and of the machine',
  measure: (options) =>
    onRig(options, { settings: COUNTED }, async (rig, round) => {
      if (round === 0) {
        await rig.sql((client) => client.query('create extension pg_stat_statements'));
        await systemClock.sleep(SETTLE_MS);
        return [];
      }
      let statements = NaN;
      const cost = await rig.cost(async () => {
        const [before = NaN] = await rig.numbers(STATEMENTS);
        const begunMs = performance.now();
        await systemClock.sleep(IDLE_MS, options.signal);
        const seconds = (performance.now() - begunMs) / 1000;
        const [after = NaN] = await rig.numbers(STATEMENTS);
        statements = after - before;
        return seconds;
      });
      const { postgres, leader, others } = cost.cpu;
      const share = (cpu: number): number => (cpu / cost.seconds) * 100;
      return [
        {
          ...{ what: 'idle cluster of three, statements', unit: 'statements/s' },
          value: statements / cost.seconds,
        },
        ...[
          { what: 'idle cluster of three, CPU of the nodes', value: share(leader + others) },
          { what: 'idle cluster of three, CPU of PostgreSQL', value: share(postgres) },
        ].map((reading) => ({ ...reading, unit: '% of a core' as const })),
      ];
    }),
};

/** Counting statements costs something, so what is measured for its speed goes without. */
const COUNTED = { shared_preload_libraries: 'pg_stat_statements' };
const IDLE_MS = 20_000;
const SETTLE_MS = 5000;
/** All but those of the benchmark itself. */
const STATEMENTS = `
select coalesce(sum(calls), 0) from pg_stat_statements
where query !~ 'pg_stat_statements|pg_get_wal_stats|pg_current_wal_flush_lsn'`;
