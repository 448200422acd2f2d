import { expect } from 'chai';
import { LAN } from '../../node/core/timings.ts';
import { LeaderLoop, type LeaderDeps } from '../../node/leader/loop.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeLink } from './setup.ts';

/** Goal: a leader learns from its nodes that its term is over. Method: the loop, not yet running. */
describe('the loop of a leader', () => {
  function setup() {
    const clock = new FakeClock();
    const deposed: string[] = [];
    const quiet = (): void => undefined;
    const term = new AbortController();
    const deps = {
      ...{ clock, rng: { random: () => 0.5 }, timings: LAN },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      reader: { handledTypes: () => Promise.resolve(new Map()) },
      isDeposedError: () => false,
      onDeposed: (reason: string) => deposed.push(reason),
    };
    const leadership = { term: 3, signal: term.signal, isTrusted: () => true };
    return { loop: new LeaderLoop(deps as unknown as LeaderDeps, leadership), deposed, term };
  }

  // Seen to fail without the look at `termSeen`.
  it('gives the office up to a node that has seen a later term, and refuses its stream', () => {
    const { loop, deposed } = setup();
    expect(loop.accept(new FakeLink(7, { termSeen: 4 }))).to.deep.equal({
      refused: 'not the leader',
    });
    expect(deposed).to.have.length(1);
  });

  it('takes a node that has seen its own term or an earlier one', () => {
    const { loop, deposed, term } = setup();
    for (const termSeen of [0, 3]) {
      expect(loop.accept(new FakeLink(7 + termSeen, { termSeen }))).to.have.property('onMessage');
    }
    expect(deposed).to.deep.equal([]);
    term.abort();
  });
});
