import { toNodeId, toTerm } from '../../node/base/ids.ts';
import type {
  ElectionEffect,
  ElectionEventBody,
  LeaderView,
} from '../../node/core/election-events.ts';
import { INITIAL, step } from '../../node/core/election.ts';
import type { ElectionState } from '../../node/core/election.ts';
import { LAN } from '../../node/core/timings.ts';

/** One node's election under LAN timings, fed by hand; `effects` are those of the last event. */
export class Standing {
  state: ElectionState = INITIAL;
  effects: readonly ElectionEffect[] = [];

  at(atMs: number, body: ElectionEventBody, draw = 0.5): this {
    const next = step(this.state, { atMs, draw, ...body }, LAN);
    this.state = next.state;
    this.effects = next.effects;
    return this;
  }

  get kinds(): readonly string[] {
    return this.effects.map((effect) => effect.kind);
  }

  get session(): number {
    return this.state.session;
  }
}

export const SELF = 1;

/** A term row that names this node, or another. */
export function view(term: number, nodeId = SELF): LeaderView {
  const id = toNodeId(nodeId);
  return {
    term: toTerm(term),
    nodeId: id,
    name: 'node-1',
    grpcAddress: 'a:1',
    httpUrl: 'http://a',
  };
}

export const woke = (progressAtMs: number | null = null): ElectionEventBody => ({
  kind: 'woke',
  progressAtMs,
});
