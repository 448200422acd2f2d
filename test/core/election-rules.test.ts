import { expect } from 'chai';
import fc from 'fast-check';
import { toTerm } from '../../node/base/ids.ts';
import type { ElectionEffect, ElectionEventBody } from '../../node/core/election-events.ts';
import { roleOf, trustedUntilMs } from '../../node/core/election.ts';
import { LAN } from '../../node/core/timings.ts';
import { SELF, Standing, view, woke } from './election-setup.ts';

/**
 * Goal: no order of events makes a node break its rules. Method: random events at random times; a
 * world of one lock and one row answers what was asked; the rules are judged after each step.
 */
describe('core election under random events', () => {
  it('keeps its rules under any order of events', () => {
    const event = fc.record({
      afterMs: fc.integer({ min: 0, max: 400 }),
      draw: fc.double({ min: 0, max: 0.999, noNaN: true }),
      kind: fc.oneof(
        { weight: 16, arbitrary: fc.constantFrom(...(['woke', 'good'] as const)) },
        { weight: 4, arbitrary: fc.constantFrom(...(['fail', 'link', 'term'] as const)) },
        { weight: 2, arbitrary: fc.constantFrom(...(['late', 'foreign', 'duty-failed'] as const)) },
        { weight: 1, arbitrary: fc.constantFrom(...(['resigned', 'woke'] as const)) },
      ),
    });
    let terms = 0;
    fc.assert(
      fc.property(fc.array(event, { minLength: 60, maxLength: 120 }), (events) => {
        terms += new Rules().run(events);
      }),
      { numRuns: 500 },
    );
    expect(terms, 'terms of office among the runs').to.be.greaterThan(100);
  });
});

type Kind =
  'woke' | 'good' | 'fail' | 'link' | 'term' | 'late' | 'foreign' | 'resigned' | 'duty-failed';

/** The world and the judge. */
class Rules {
  readonly #node = new Standing().at(0, { kind: 'started' });
  #atMs = 0;
  #term = 0;
  /** The one statement under way, with the moment of its send; more than one is a fault. */
  #asked: { readonly effect: ElectionEffect; readonly sentAtMs: number } | null = null;
  #isOpen = false;
  #hasLock = false;
  #inOffice = false;
  #lostAtMs = -Infinity;
  #hasResigned = false;
  #terms = 0;

  run(
    events: readonly { readonly afterMs: number; readonly draw: number; readonly kind: Kind }[],
  ): number {
    for (const { afterMs, draw, kind } of events) {
      this.#atMs += afterMs;
      const body = this.#bodyOf(kind);
      if (body === null) continue;
      if (body.kind === 'resigned') this.#hasResigned = true;
      this.#node.at(this.#atMs, body, draw);
      for (const effect of this.#node.effects) this.#obey(effect);
      this.#judge();
    }
    return this.#terms;
  }

  #bodyOf(kind: Kind): ElectionEventBody | null {
    const session = this.#node.session;
    switch (kind) {
      case 'woke':
        return woke(this.#atMs);
      case 'fail':
        return { kind: 'session-failed', session, reason: 'away' };
      case 'link':
        return { kind: 'link-changed', healthy: this.#atMs % 2 === 0 };
      case 'term':
        return { kind: 'term-seen', term: toTerm(this.#term) };
      case 'resigned':
        return { kind: 'resigned' };
      case 'duty-failed':
        return { kind: 'duty-failed', reason: 'no room' };
      case 'late':
        return { kind: 'lock-taken', session: session - 1 };
      case 'good':
      case 'foreign':
        return this.#answer(session, kind === 'foreign');
    }
  }

  /** The answer to whatever was asked; a foreign one names another leader. */
  #answer(session: number, isForeign: boolean): ElectionEventBody | null {
    const asked = this.#asked;
    if (asked === null) return null;
    this.#asked = null;
    const { effect, sentAtMs } = asked;
    if (isForeign) this.#term += 1;
    const row = view(this.#term, isForeign ? 2 : SELF);
    switch (effect.kind) {
      case 'open-session':
        this.#isOpen = true;
        return { kind: 'session-opened', session };
      case 'read-term':
        return { kind: 'term-read', session, view: row };
      case 'try-lock':
        if (isForeign) return { kind: 'lock-missed', session, view: row };
        this.#hasLock = true;
        return { kind: 'lock-taken', session };
      case 'bump-term':
        this.#term = Math.max(this.#term, effect.above) + 1;
        return { kind: 'term-bumped', session, sentAtMs, view: view(this.#term) };
      case 'send-heartbeat':
        return { kind: 'heartbeat-answered', session, sentAtMs, view: row };
      default:
        return null;
    }
  }

  #obey(effect: ElectionEffect): void {
    switch (effect.kind) {
      case 'close-session':
        this.#asked = null;
        this.#isOpen = false;
        if (this.#hasLock) this.#lostAtMs = this.#atMs;
        this.#hasLock = false;
        return;
      case 'announce-gain':
        expect(this.#hasLock, 'gained with the lock').to.equal(true);
        this.#inOffice = true;
        this.#terms += 1;
        return;
      case 'announce-loss':
        expect(this.#inOffice, 'lost what was gained').to.equal(true);
        this.#inOffice = false;
        return;
      case 'report-leader':
        return;
      default:
        expect(this.#asked, 'one statement at a time').to.equal(null);
        expect(this.#isOpen, 'asked of an open session').to.equal(effect.kind !== 'open-session');
        this.#asked = { effect, sentAtMs: this.#atMs };
    }
    if (effect.kind === 'try-lock') {
      expect(this.#hasLock, 'never locks twice').to.equal(false);
      expect(this.#hasResigned, 'never tries once resigned').to.equal(false);
      expect(this.#atMs - this.#lostAtMs, 'sat out its penalty').to.be.at.least(LAN.penaltyMs);
    }
  }

  #judge(): void {
    const role = roleOf(this.#node.state);
    expect(role === 'leader', 'leads between gain and loss only').to.equal(this.#inOffice);
    const until = trustedUntilMs(this.#node.state);
    if (until !== null) {
      expect(this.#hasLock, 'trusted with the lock only').to.equal(true);
      expect(until - this.#atMs, 'trust ends soon').to.be.at.most(LAN.selfDemoteMs);
      expect(this.#node.state.wakeAtMs, 'a timer ends the trust').to.be.at.most(until);
    }
    const waits = this.#node.state.wakeAtMs !== null || this.#asked !== null;
    expect(waits, 'something is always due or under way').to.equal(true);
  }
}
