import { expect } from 'chai';
import { Elector, type Leadership } from '../../node/cluster/elector.ts';
import type { LockSession, SelfIdentity } from '../../node/cluster/ports.ts';
import { toNodeId, toTerm } from '../../node/base/ids.ts';
import { LAN } from '../../node/core/timings.ts';
import { FakeClock } from '../support/fake-clock.ts';

/**
 * Goal: an elector hands the core the times at which things were sent. Method: a lock session that
 * answers as late as the test says, on a clock that the test moves.
 */
describe('an elector whose database answers late', () => {
  const self: SelfIdentity = {
    ...{ nodeId: toNodeId(1), name: 'node-1', grpcAddress: 'a', httpUrl: 'b' },
  };
  const view = { term: toTerm(1), ...self };

  // Seen to fail with the time of the answer for that of the send.
  it('is trusted from the send of its last good heartbeat', async () => {
    const clock = new FakeClock();
    let lateMs = 0;
    let isSilent = false;
    const sentMs: number[] = [];
    let end: (reason: string) => void = () => undefined;
    const session: LockSession = {
      open: () => Promise.resolve(),
      tryLock: () => Promise.resolve({ taken: true, view: null }),
      bumpTerm: () => Promise.resolve(view),
      readTerm: async () => {
        if (isSilent) return new Promise(() => undefined);
        sentMs.push(clock.monotonicMs());
        await clock.sleep(lateMs);
        return view;
      },
      destroy: () => {
        end('closed');
      },
      ended: new Promise((resolve) => (end = resolve)),
    };
    let leadership: Leadership | undefined;
    const answers: number[] = [];
    const quiet = (): void => undefined;
    const elector = new Elector({
      ...{ clock, self, timings: LAN, rng: { random: () => 0.5 } },
      log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      metrics: { heartbeatAnswered: (_kind, seconds) => answers.push(seconds) },
      openLockSession: () => session,
      schedulerProgressMs: () => clock.monotonicMs(),
      onLeaderSeen: quiet,
      onGained: (gained) => (leadership = gained),
      onLost: quiet,
    });
    elector.start();
    await clock.advance(LAN.heartbeatMs * 2);
    expect(elector.role).to.equal('leader');
    lateMs = 500;
    const before = sentMs.length;
    while (sentMs.length === before) await clock.advance(1);
    isSilent = true;
    const answered = answers.length;
    const sent = sentMs.at(-1) ?? 0;
    await clock.advance(sent + LAN.selfDemoteMs - clock.monotonicMs() - 1);
    expect(leadership?.isTrusted()).to.equal(true);
    await clock.advance(1);
    expect(leadership?.isTrusted()).to.equal(false);
    expect(elector.role).to.equal('follower');
    // Of those that were answered, the last one late; the silent ones have no length.
    expect(answers.slice(answered)).to.deep.equal([0.5]);
    expect(answers.slice(0, answered).every((seconds) => seconds < 0.5)).to.equal(true);
    await elector.stop();
  });
});
