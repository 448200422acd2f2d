import { diamond } from './flow.ts';
import type { Moment } from './ledger.ts';
import { factsOf, judge, onRig } from './part.ts';
import type { Part, PartOptions } from './part.ts';
import { partReport } from './report.ts';
import type { Bound } from './report.ts';
import { Rig } from './rig.ts';

/**
 * How long nobody leases when the leader is gone: from the instant before the fault to the first lease
 * that a later term has committed, by the database's clock. The node is back, and the cluster at work,
 * before the next fault.
 */
export const kill: Part = (options) =>
  failovers('kill', killLeader, {}, { p50: 300, max: 1000 }, options);

export const freeze: Part = (options) =>
  failovers('freeze', freezeLeader, {}, { max: 2000 }, options);

/** Between the leader and PostgreSQL, and between it and its peers, nothing passes. */
export const cut: Part = (options) =>
  failovers('cut', cutLeader, { proxied: true }, { max: 2000 }, options);

/** Tasks of several seconds run on all nodes while leaders die: no other node begins anything anew. */
export const followers: Part = (options) =>
  onRig(
    () => Rig.start({ slots: 4, main: options.main }),
    options.say,
    async (rig) => {
      const flow = rig.flow({ backlog: 48, group: diamond(2000, 6000) });
      const times = await faultsOn(rig, killLeader, options);
      const stale = times.stale + (await rig.staleOutcomes());
      const { faults, executions } = await judge(rig, flow);
      const facts = { ...factsOf(flow, executions), 'stale outcomes': stale };
      return partReport('followers', times.figures, facts, [
        ...faults,
        ...unlessNone(executions.extra, 'extra executions on nodes that lived'),
        ...unlessNone(stale, 'stale outcomes'),
      ]);
    },
  );

/** Brings it about, waits for the first lease of the next term, and mends what was done. */
export type Fault = (rig: Rig, moment: Moment) => Promise<void>;

/** kill -9; the node is started again, and is a member again. */
export async function killLeader(rig: Rig, { leader, leaderNodeId, atMs, term }: Moment) {
  await rig.cluster.kill(leader);
  await rig.ledger.noteKilled(leaderNodeId, atMs);
  await rig.firstLeaseAfter(term);
  await rig.cluster.revive(leader);
  await rig.cluster.ready(leader);
}

async function freezeLeader(rig: Rig, { leader, term }: Moment) {
  await rig.cluster.freeze(leader);
  rig.leave(leader);
  try {
    await rig.firstLeaseAfter(term);
  } finally {
    await rig.cluster.thaw(leader);
    rig.comeBack(leader);
  }
  await rig.cluster.ready(leader);
}

async function cutLeader(rig: Rig, { leader, term }: Moment) {
  const { database, peer } = rig.cluster.node(leader);
  database.pause();
  peer.pause();
  rig.leave(leader);
  try {
    await rig.firstLeaseAfter(term);
  } finally {
    database.heal();
    peer.heal();
    rig.comeBack(leader);
  }
  await rig.cluster.ready(leader);
}

async function failovers(
  what: string,
  fault: Fault,
  place: { readonly proxied?: boolean },
  bound: Bound,
  options: PartOptions,
) {
  return onRig(
    () => Rig.start({ slots: 4, main: options.main, ...place }),
    options.say,
    async (rig) => {
      const flow = rig.flow({ backlog: 400, group: diamond(20, 80) });
      const { figures } = await faultsOn(rig, fault, options);
      const { faults, executions } = await judge(rig, flow);
      return partReport(what, figures, factsOf(flow, executions), faults, bound);
    },
  );
}

export interface Times {
  /** From the fault on; by step. */
  readonly figures: Readonly<Record<string, readonly number[]>>;
  /** Outcomes that came too late at the nodes that were killed, before they were. */
  readonly stale: number;
}

/** The same fault again and again, on whichever node leads. */
export async function faultsOn(rig: Rig, fault: Fault, options: PartOptions): Promise<Times> {
  const moments: Moment[] = [];
  let stale = 0;
  while (moments.length < options.count) {
    options.signal.throwIfAborted();
    if (fault === killLeader) stale += await rig.staleOutcomes((await rig.ledger.moment()).leader);
    const moment = await rig.momentAtWork();
    moments.push(moment);
    await fault(rig, moment);
    const leaseMs = await rig.firstLeaseAfter(moment.term);
    const tookMs = Math.round(leaseMs - moment.atMs);
    options.say(`${String(moments.length)}: ${moment.leader} gone, ${String(tookMs)} ms`);
  }
  return { figures: await figuresOf(rig, moments), stale };
}

async function figuresOf(rig: Rig, moments: readonly Moment[]): Promise<Times['figures']> {
  const terms: number[] = [];
  const leases: number[] = [];
  for (const { term, atMs } of moments) {
    const { termMs, leaseMs } = await rig.ledger.steps(term);
    if (termMs !== null) terms.push(termMs - atMs);
    if (leaseMs !== null) leases.push(leaseMs - atMs);
  }
  return { 'fault → first lease of the next term': leases, 'fault → next term': terms };
}

export function unlessNone(count: number, what: string): readonly string[] {
  return count === 0 ? [] : [`${String(count)} ${what}`];
}
