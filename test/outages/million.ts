import { SkeinClient } from '../../node/client/client.ts';
import { systemClock } from '../../node/base/clock.ts';
import { faultsOn, killLeader } from './failovers.ts';
import { diamond } from './flow.ts';
import type { FlowTask } from './flow.ts';
import { factsOf, judge, onRig } from './part.ts';
import type { Part } from './part.ts';
import { partReport } from './report.ts';
import { Rig } from './rig.ts';
import { WAITS_FOR_EVER } from './verdict.ts';

/**
 * The leader is killed while a million tasks wait: two fifths for a node that handles their type, three
 * tenths for tomorrow, three tenths for three others each. First with ready work in front of them, which
 * a new leader finds in its first page; then with ready work behind them only, on its last page.
 */
export const million: Part = (options) =>
  onRig(
    () => Rig.start({ slots: 4, main: options.main }),
    options.say,
    async (rig) => {
      const { count, queued, say } = options;
      const front = await submitFront(rig, count);
      const begunMs = systemClock.monotonicMs();
      await submitWaiting(rig, queued);
      const seconds = Math.round((systemClock.monotonicMs() - begunMs) / 1000);
      say(`${String(queued)} tasks were accepted in ${String(seconds)} s`);
      const flow = rig.flow({ backlog: 400, group: diamond(20, 80) });
      const inFront = await faultsOn(rig, killLeader, options);
      const left = await frontLeft(rig);
      await rig.until('the end of the work in front', async () =>
        (await frontLeft(rig)) === 0 ? true : undefined,
      );
      const behind = await faultsOn(rig, killLeader, options);
      const { faults, executions } = await judge(rig, flow, front);
      const still = await waitingIn(rig);
      const [lease = 'lease', term = 'term'] = Object.keys(inFront.figures);
      return partReport(
        `kill, ${String(queued)} queued`,
        {
          [`${lease}, ready work on the first page`]: inFront.figures[lease] ?? [],
          [`${lease}, ready work on the last page only`]: behind.figures[lease] ?? [],
          [term]: [...(inFront.figures[term] ?? []), ...(behind.figures[term] ?? [])],
        },
        { ...factsOf(flow, executions), 'still queued': still, 'accepted in seconds': seconds },
        [
          ...faults,
          ...(still === queued ? [] : [`${String(still)} of ${String(queued)} are still queued`]),
          ...(left > 0 ? [] : ['the work in front was gone before the last kill']),
        ],
        { max: 2000 },
      );
    },
  );

const BATCH = 100_000;
/** Of the least urgent, so that they last: while the pages behind them are read, only they are known. */
const FRONT_A_KILL = 1500;

async function submitFront(rig: Rig, kills: number): Promise<readonly string[]> {
  const tasks = Array.from({ length: 3000 + FRONT_A_KILL * kills }, (_, at): FlowTask => ({
    ...{ id: `r${String(at)}`, type: 'sleep', duration_ms: 20, priority: 100 },
  }));
  const client = new SkeinClient({ urls: rig.urls() });
  await client.submitNdjson(tasks.map((task) => `${JSON.stringify(task)}\n`));
  return tasks.map(({ id }) => id);
}

async function submitWaiting(rig: Rig, queued: number): Promise<void> {
  const client = new SkeinClient({ urls: rig.urls() });
  const tomorrow = new Date(Date.now() + 24 * 3_600_000).toISOString();
  for (let from = 0; from < queued; from += BATCH) {
    await client.submitNdjson(linesOf(from, Math.min(BATCH, queued - from), tomorrow));
  }
}

function* linesOf(from: number, count: number, tomorrow: string): Generator<string> {
  for (let at = 0; at < count; at += 1) {
    const task: FlowTask = {
      ...{ id: `m${String(from + at)}`, type: WAITS_FOR_EVER, duration_ms: 1000 },
      ...(at % 10 > 6 ? { run_at: tomorrow } : {}),
      ...(at % 10 > 3 && at % 10 <= 6
        ? { dependencies: [1, 2, 3].map((back) => `m${String(from + at - (at % 10) + back)}`) }
        : {}),
    };
    yield `${JSON.stringify(task)}\n`;
  }
}

async function frontLeft(rig: Rig): Promise<number> {
  const { count } = await rig.ledger.one<{ count: number }>(
    'select count(*)::int as count from skein.live where priority = 100',
  );
  return count;
}

async function waitingIn(rig: Rig): Promise<number> {
  const { count } = await rig.ledger.one<{ count: number }>(
    `select count(*)::int as count from skein.live
     where node_id is null and lease_seq = 0
       and type_id in (select type_id from skein.type where name = '${WAITS_FOR_EVER}')`,
  );
  return count;
}
