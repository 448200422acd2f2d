import { systemClock } from '../../../node/base/clock.ts';
import { grouped, onRig } from '../measure.ts';
import type { Reading, Scenario } from '../measure.ts';
import { Poster, requestOf } from '../poster.ts';
import { lastSeq, prove } from '../proof.ts';
import type { Rig } from '../rig.ts';

/**
 * A cluster with nothing to do gets one task at a time: from the request sent to the start of the handler.
 * The start is by the clock of the database, which is on the same machine as the client.
 */
export const LATENCY: Scenario = {
  name: 'latency',
  what: 'an idle cluster: from a request sent to the start of the handler',
  measure: (options) =>
    onRig(options, {}, async (rig, round) => {
      const count = Math.min(SUBMITS_MAX, Math.max(20, Math.ceil(options.tasks / 500)));
      const name = `idle-${String(round)}`;
      const afterSeq = await lastSeq(rig);
      const latencies = await latenciesOf(rig, count, name);
      await rig.untilGone(afterSeq);
      await prove(rig, afterSeq, count);
      const startedMs = await startsOf(rig, afterSeq);
      const ms = latencies.map(({ id, sentMs }) => (startedMs.get(id) ?? NaN) - sentMs);
      return [readingOf(ms, 0.5), readingOf(ms, 0.99)];
    }),
};

const SUBMITS_MAX = 1000;
/** Enough for the task before to be over, and drawn so as not to fall into step with anything. */
const PAUSE_MS = 15;

interface Sent {
  readonly id: string;
  readonly sentMs: number;
}

async function latenciesOf(rig: Rig, count: number, name: string): Promise<readonly Sent[]> {
  const posters = await Promise.all(rig.urls.map((url) => Poster.connect(url)));
  const sent: Sent[] = [];
  try {
    for (let at = 0; at < count; at++) {
      await systemClock.sleep(PAUSE_MS * (1 + Math.random()));
      const id = `${name}-${String(at)}`;
      const request = requestOf('/tasks', { id, type: 'noop' });
      sent.push({ id, sentMs: nextMillisecond() });
      const status = await posters[at % posters.length]?.post(request);
      if (status !== 201) throw new Error(`a submit was answered ${String(status)}`);
    }
  } finally {
    for (const poster of posters) poster.close();
  }
  return sent;
}

/** The clock of the machine says milliseconds: at the turn of one it is exact. */
function nextMillisecond(): number {
  const now = Date.now();
  let next = now;
  while (next === now) next = Date.now();
  return next;
}

async function startsOf(rig: Rig, afterSeq: number): Promise<ReadonlyMap<string, number>> {
  const { rows } = await rig.sql((client) =>
    client.query<{ id: string; ms: number }>(
      `select id, (extract(epoch from started_at) * 1000)::float8 as ms
       from skein.task where seq > $1`,
      [afterSeq],
    ),
  );
  return new Map(rows.map(({ id, ms }) => [id, ms]));
}

function readingOf(ms: readonly number[], share: number): Reading {
  const sorted = ms.toSorted((a, b) => a - b);
  const value = sorted[Math.ceil(share * sorted.length) - 1] ?? NaN;
  const what = `idle cluster, request sent to start, p${String(share * 100)} of ${grouped(ms.length)}`;
  return { what, unit: 'ms', value };
}
