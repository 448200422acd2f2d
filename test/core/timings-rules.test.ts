import { expect } from 'chai';
import fc from 'fast-check';
import { toTerm } from '../../node/base/ids.ts';
import { INITIAL, step, trustedUntilMs, type ElectionState } from '../../node/core/election.ts';
import type { ElectionEventBody } from '../../node/core/election-events.ts';
import { faultsOf, IDLE_MS, LAN, type Timings } from '../../node/core/timings.ts';
import { SELF, view } from './election-setup.ts';

/**
 * Goal: timings that the check lets pass cannot hurt, whatever they are (a renewal interval as long as
 * the lease has been shipped by others). Method: random timings around the real ones; for those that
 * pass, the worst that clocks and networks may do is worked out, for the leader by its own state machine.
 * Seen to fail: without any one of the relations in faultsOf.
 */
const RATE = 0.01;
/** How often a node looks at its lease. */
const WATCH_MS = 100;

const factor = fc.oneof(
  fc.double({ min: 0.02, max: 20, noNaN: true }),
  fc.double({ min: 0.8, max: 1.3, noNaN: true }),
);
const KEYS = Object.keys(LAN) as (keyof Timings)[];
const timings = fc
  .tuple(factor, ...KEYS.map(() => fc.oneof(fc.constant(1), fc.constant(1), factor)))
  .map(([scale, ...factors]) => {
    const changed = { ...LAN } as Record<keyof Timings, number>;
    for (const [at, key] of KEYS.entries()) {
      changed[key] = Math.round(LAN[key] * scale * (factors[at] ?? 1));
    }
    return changed;
  });
const share = fc.double({ min: 0, max: 1, noNaN: true });

describe('timings that pass the check', () => {
  it('hurt nobody, whatever clocks and networks do', () => {
    let passed = 0;
    fc.assert(
      fc.property(timings, share, share, (t, slow, silent) => {
        if (faultsOf(t).length > 0) return;
        passed += 1;
        expect(dangersOf(t), JSON.stringify(t)).to.deep.equal([]);
        leads(t, slow, silent);
      }),
      { numRuns: 20_000 },
    );
    expect(passed, 'timings that passed').to.be.greaterThan(300);
  });
});

/** What could happen to nodes and their tasks under these timings. */
function dangersOf(t: Timings): readonly string[] {
  const dangers: readonly (readonly [boolean, string])[] = [
    [
      // Renewed when it was sent, by the database's clock, which runs fast while the node's runs slow.
      t.killMs * (1 + RATE) >= t.leaseMs + t.guardMs,
      'a task is started elsewhere before its process is killed here',
    ],
    [
      t.abortMs * (1 + RATE) >= t.leaseMs,
      'a task is not even told to stop before its lease is over',
    ],
    [
      t.abortMs + t.killGraceMs > t.killMs,
      'a task that heeds its signal is killed within its grace',
    ],
    [
      // Two heartbeats may be lost before the node renews alone.
      3 * t.renewMs > t.abortMs,
      'a node interrupts its tasks before it has tried to renew its lease alone',
    ],
    [
      t.lockIdleMs + t.campaignMaxMs + WATCH_MS >= t.leaseMs / 2,
      'leases run out while a frozen leader is replaced',
    ],
    [
      t.linkSilenceMs + t.campaignMaxMs > t.lockIdleMs,
      'nobody tries the lock when a frozen leader has lost it',
    ],
    [t.progressMs < 2 * IDLE_MS, 'an idle leader is taken for one that hangs'],
  ];
  return dangers.filter(([isReal]) => isReal).map(([, what]) => what);
}

/**
 * A term of office: heartbeats that are answered at once, one slow answer that must not end it, then
 * silence, which must end it before the server frees the lock.
 */
function leads(t: Timings, slow: number, silent: number): void {
  const office = new Office(t);
  office.beat(0);
  // A timer may be late by a millisecond.
  office.beat(slow * (t.selfDemoteMs - t.heartbeatMs - 1));
  expect(office.isTrusted, `one slow answer ended the term: ${JSON.stringify(t)}`).to.equal(true);
  office.beat(0);
  const { sentAtMs } = office;
  // The server may have finished the heartbeat at any moment after its send; its clock runs fast.
  const finishedAtMs = sentAtMs + silent * t.heartbeatMs;
  const freedAtMs = finishedAtMs + t.lockIdleMs * (1 - RATE);
  expect(office.trustEndsMs, `two leaders: ${JSON.stringify(t)}`).to.be.lessThan(freedAtMs);
  office.wake(office.trustEndsMs);
  expect(office.isTrusted).to.equal(false);
}

class Office {
  private readonly timings: Timings;
  private state: ElectionState = INITIAL;
  private atMs = 0;
  sentAtMs = 0;

  constructor(t: Timings) {
    this.timings = t;
    this.happens({ kind: 'started' });
    this.happens({ kind: 'woke', progressAtMs: null });
    this.happens({ kind: 'session-opened', session: 1 });
    this.happens({ kind: 'lock-taken', session: 1 });
    this.happens({ kind: 'term-bumped', session: 1, sentAtMs: 0, view: view(1, SELF) });
  }

  get isTrusted(): boolean {
    const until = trustedUntilMs(this.state);
    return until !== null && this.atMs < until;
  }

  get trustEndsMs(): number {
    return trustedUntilMs(this.state) ?? -Infinity;
  }

  /** The next heartbeat, when it is due, and its answer. */
  beat(delayMs: number): void {
    this.wake(this.state.wakeAtMs ?? this.atMs);
    this.sentAtMs = this.atMs;
    this.atMs += delayMs;
    const answer = { session: 1, sentAtMs: this.sentAtMs, view: view(toTerm(1), SELF) };
    this.happens({ kind: 'heartbeat-answered', ...answer });
  }

  wake(atMs: number): void {
    this.atMs = Math.max(this.atMs, atMs);
    this.happens({ kind: 'woke', progressAtMs: this.atMs });
  }

  private happens(body: ElectionEventBody): void {
    this.state = step(this.state, { atMs: this.atMs, draw: 0.5, ...body }, this.timings).state;
  }
}
