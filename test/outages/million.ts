import { SkeinClient } from '../../node/client/client.ts';
import { systemClock } from '../../node/base/clock.ts';
import { faultsOn, killLeader } from './failovers.ts';
import { diamond } from './flow.ts';
import type { FlowTask } from './flow.ts';
import { LEAST_URGENT } from './ledger.ts';
import { factsOf, judge, onRig } from './part.ts';
import type { Part } from './part.ts';
import { partReport } from './report.ts';
import { Rig } from './rig.ts';
import { WAITS_FOR_EVER } from './verdict.ts';

/**
 * The leader is killed while a million tasks wait: two fifths for a node that handles their type, three
 * tenths for tomorrow, three tenths for three others each. First with ready work behind them only, on the
 * last page that a new leader reads; then in front of them too, on its first.
 */
export const million: Part = (options) =>
  onRig(
    () => Rig.start({ slots: 4, main: options.main }),
    options.say,
    async (rig) => {
      const { count, queued, say } = options;
      await submitFront(rig, count);
      const begunMs = systemClock.monotonicMs();
      await submitWaiting(rig, queued);
      const seconds = Math.round((systemClock.monotonicMs() - begunMs) / 1000);
      say(`${String(queued)} tasks were accepted in ${String(seconds)} s`);
      const flow = rig.flow({ backlog: 400, group: diamond(20, 80) });
      const behind = await faultsOn(rig, killLeader, options);
      await openFront(rig);
      const inFront = await faultsOn(rig, killLeader, options);
      const left = await frontLeft(rig);
      const { faults, executions } = await judge(rig, flow);
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
/** Enough to last: while the pages behind it are read, it is all that is known. It need not end. */
const FRONT_A_KILL = 3000;
const GATE = 'front-gate';

/** Ready when the gate has ended, which waits for tomorrow. */
async function submitFront(rig: Rig, kills: number): Promise<void> {
  const shape = { type: 'sleep', duration_ms: 20, priority: LEAST_URGENT };
  const tasks = [
    { id: GATE, ...shape, priority: 1, run_at: tomorrow() },
    ...Array.from({ length: 2000 + FRONT_A_KILL * kills }, (_, at): FlowTask => ({
      id: `front-${String(at)}`,
      ...shape,
      dependencies: [GATE],
    })),
  ];
  const client = new SkeinClient({ urls: rig.urls() });
  await client.submitNdjson(tasks.map((task) => `${JSON.stringify(task)}\n`));
}

async function openFront(rig: Rig): Promise<void> {
  await new SkeinClient({ urls: rig.urls() }).patchTask(GATE, { run_at: null });
  await rig.until('the end of the gate', async () => {
    const { ended } = await rig.ledger.one<{ ended: boolean }>(
      'select status is not null as ended from skein.task where id = $1',
      [GATE],
    );
    return ended ? true : undefined;
  });
}

function tomorrow(): string {
  return new Date(Date.now() + 24 * 3_600_000).toISOString();
}

async function submitWaiting(rig: Rig, queued: number): Promise<void> {
  const client = new SkeinClient({ urls: rig.urls() });
  for (let from = 0; from < queued; from += BATCH) {
    await client.submitNdjson(linesOf(from, Math.min(BATCH, queued - from), tomorrow()));
  }
}

function* linesOf(from: number, count: number, later: string): Generator<string> {
  for (let at = 0; at < count; at += 1) {
    const task: FlowTask = {
      ...{ id: `m${String(from + at)}`, type: WAITS_FOR_EVER, duration_ms: 1000 },
      ...(at % 10 > 6 ? { run_at: later } : {}),
      ...(at % 10 > 3 && at % 10 <= 6
        ? { dependencies: [1, 2, 3].map((back) => `m${String(from + at - (at % 10) + back)}`) }
        : {}),
    };
    yield `${JSON.stringify(task)}\n`;
  }
}

async function frontLeft(rig: Rig): Promise<number> {
  const { count } = await rig.ledger.one<{ count: number }>(
    'select count(*)::int as count from skein.live where priority = $1 and node_id is null',
    [LEAST_URGENT],
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
