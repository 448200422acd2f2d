import { expect } from 'chai';
import { toTerm } from '../../node/base/ids.ts';
import type { ElectionEventBody, LeaderView } from '../../node/core/election-events.ts';
import { roleOf, trustedUntilMs } from '../../node/core/election.ts';
import { Standing, view, woke } from './election-setup.ts';

/**
 * Goal: what a node may believe about its own leadership, decision by decision. Method: the pure
 * machine is fed events at chosen times; election-rules.test.ts feeds it random ones.
 */
/** A follower with an open session whose first try, at 1000, found the lock taken. */
function follower(): Standing {
  return new Standing()
    .at(1000, { kind: 'started' })
    .at(1000, woke())
    .at(1000, { kind: 'session-opened', session: 1 })
    .at(1000, { kind: 'lock-missed', session: 1, view: null });
}

/** The leader of term 1; its bump was sent at 1000 and answered at `answeredAtMs`. */
function leader(answeredAtMs = 1010): Standing {
  return new Standing()
    .at(990, { kind: 'started' })
    .at(990, woke())
    .at(995, { kind: 'session-opened', session: 1 })
    .at(1000, { kind: 'lock-taken', session: 1 })
    .at(answeredAtMs, { kind: 'term-bumped', session: 1, sentAtMs: 1000, view: view(1) });
}

function answer(sentAtMs: number, row: LeaderView | null = view(1)): ElectionEventBody {
  return { kind: 'heartbeat-answered', session: 1, sentAtMs, view: row };
}

describe('core election', () => {
  describe('a follower', () => {
    it('opens a session, tries the lock at once, and reports who leads', () => {
      const node = new Standing().at(0, { kind: 'started' });
      expect(node.state.wakeAtMs).to.equal(0);
      expect(node.at(0, woke()).effects).to.deep.equal([{ kind: 'open-session', session: 1 }]);
      expect(node.at(5, { kind: 'session-opened', session: 1 }).kinds).to.deep.equal(['try-lock']);
      node.at(6, { kind: 'lock-missed', session: 1, view: view(3, 2) });
      expect(node.kinds).to.deep.equal(['report-leader']);
      expect(node.state.termSeen).to.equal(3);
      expect(roleOf(node.state)).to.equal('follower');
    });

    it('tries again within 20 to 50 ms without a leader stream, and each second with one', () => {
      const pauses = [0, 0.5, 0.999].map((draw) => {
        const node = follower().at(2000, woke());
        node.at(2000, { kind: 'lock-missed', session: 1, view: null }, draw);
        return (node.state.wakeAtMs ?? 0) - 2000;
      });
      expect(pauses[0]).to.equal(20);
      expect(pauses[1]).to.equal(35);
      expect(pauses[2]).to.be.closeTo(50, 0.1);
      const calm = follower().at(1001, { kind: 'link-changed', healthy: true }).at(1050, woke());
      calm.at(1060, { kind: 'lock-missed', session: 1, view: null });
      expect(calm.state.wakeAtMs).to.equal(2060);
    });

    it('does not wait out its second when the leader stream breaks', () => {
      const node = follower().at(1001, { kind: 'link-changed', healthy: true }).at(1050, woke());
      node.at(1060, { kind: 'lock-missed', session: 1, view: null });
      node.at(1100, { kind: 'link-changed', healthy: false });
      expect(node.state.wakeAtMs).to.equal(1135);
    });

    it('has one statement under way at a time, however often it is woken', () => {
      const node = follower().at(2000, woke());
      expect(node.kinds).to.deep.equal(['try-lock']);
      expect(node.at(2100, woke()).kinds).to.deep.equal([]);
      expect(node.at(2100, { kind: 'link-changed', healthy: false }).state.wakeAtMs).to.equal(null);
    });

    it('opens lost sessions under a growing pause, which a good answer resets', () => {
      const node = follower();
      const pauses: number[] = [];
      let atMs = 2000;
      for (let failed = 0; failed < 7; failed += 1) {
        node.at(atMs, { kind: 'session-failed', session: node.session, reason: 'away' }, 0.999_999);
        pauses.push(Math.round((node.state.wakeAtMs ?? 0) - atMs));
        atMs = node.state.wakeAtMs ?? 0;
        node.at(atMs, woke());
      }
      expect(pauses).to.deep.equal([50, 100, 200, 400, 800, 1000, 1000]);
      node.at(atMs, { kind: 'session-opened', session: node.session });
      expect(node.state.failures).to.equal(7);
      node.at(atMs, { kind: 'lock-missed', session: node.session, view: null });
      expect(node.state.failures).to.equal(0);
    });

    it('ignores what a session answers that was given up', () => {
      const node = follower().at(2000, woke());
      node.at(2001, { kind: 'session-failed', session: 1, reason: 'away' }, 0);
      node.at(2001, woke());
      const before = node.state;
      expect(before.session).to.equal(2);
      expect(node.at(2002, { kind: 'lock-taken', session: 1 }).effects).to.deep.equal([]);
      node.at(2003, { kind: 'session-failed', session: 1, reason: 'closed' });
      expect(node.state).to.equal(before);
    });
  });

  describe('a candidate', () => {
    it('leads only once its term is raised', () => {
      const node = follower().at(2000, woke()).at(2001, { kind: 'lock-taken', session: 1 });
      expect(roleOf(node.state)).to.equal('candidate');
      expect(node.effects).to.deep.equal([{ kind: 'bump-term', session: 1, above: 0 }]);
      node.at(2005, { kind: 'term-bumped', session: 1, sentAtMs: 2001, view: view(1) });
      expect(roleOf(node.state)).to.equal('leader');
      expect(node.kinds).to.deep.equal(['announce-gain', 'report-leader']);
    });

    it('closes its session and sits out a penalty where the term cannot be raised', () => {
      const node = follower().at(2000, woke()).at(2001, { kind: 'lock-taken', session: 1 });
      node.at(2010, { kind: 'session-failed', session: 1, reason: 'lock timeout' }, 0);
      expect(node.kinds).to.deep.equal(['close-session']);
      node.at(2010, woke()).at(2011, { kind: 'session-opened', session: 2 });
      expect(node.kinds).to.deep.equal(['read-term']);
      node.at(2020, { kind: 'term-read', session: 2, view: null });
      expect(node.at(2509, woke()).kinds).to.deep.equal(['read-term']);
      node.at(2509, { kind: 'term-read', session: 2, view: null });
      expect(node.at(2600, woke()).kinds).to.deep.equal(['try-lock']);
    });

    it('does not lead where the answer to its bump comes after the trust window', () => {
      const node = leader(1800);
      expect(roleOf(node.state)).to.equal('follower');
      expect(node.kinds).to.deep.equal(['close-session']);
      expect(roleOf(leader(1799).state)).to.equal('leader');
    });

    it('does not lead where a higher term was seen meanwhile; seeing its own is no harm', () => {
      const raised = (seen: number): Standing =>
        follower()
          .at(2000, woke())
          .at(2001, { kind: 'lock-taken', session: 1 })
          .at(2002, { kind: 'term-seen', term: toTerm(seen) })
          .at(2003, { kind: 'term-bumped', session: 1, sentAtMs: 2001, view: view(5) });
      expect(roleOf(raised(6).state)).to.equal('follower');
      expect(raised(6).kinds).to.deep.equal(['close-session']);
      expect(roleOf(raised(5).state)).to.equal('leader');
    });
  });

  describe('a leader', () => {
    it('is trusted from the send of its last good heartbeat, not from the answer', () => {
      const node = leader(1400);
      expect(trustedUntilMs(node.state)).to.equal(1800);
      node.at(1400, woke(1400)).at(1700, answer(1400));
      expect(trustedUntilMs(node.state)).to.equal(2200);
    });

    it('beats every 250 ms, one heartbeat at a time', () => {
      const node = leader();
      expect(node.state.wakeAtMs).to.equal(1250);
      expect(node.at(1249, woke(1249)).kinds).to.deep.equal([]);
      expect(node.at(1250, woke(1250)).kinds).to.deep.equal(['send-heartbeat']);
      expect(node.state.wakeAtMs).to.equal(1800);
      expect(node.at(1600, woke(1600)).kinds).to.deep.equal([]);
      node.at(1601, answer(1250));
      expect(node.kinds).to.deep.equal(['report-leader']);
      expect(node.state.wakeAtMs, 'due since 1500').to.equal(1500);
      expect(node.at(1601, woke(1601)).kinds).to.deep.equal(['send-heartbeat']);
    });

    it('steps down when the window is over, and a late answer does not bring it back', () => {
      const silent = leader().at(1250, woke(1250)).at(1800, woke(1800));
      expect(silent.kinds).to.deep.equal(['close-session', 'announce-loss']);
      const late = leader().at(1250, woke(1250)).at(1800, answer(1250));
      expect(late.kinds).to.deep.equal(['close-session', 'announce-loss']);
      expect(trustedUntilMs(late.state)).to.equal(null);
    });

    it('withholds the heartbeat while its scheduler stands still, and lets trust end', () => {
      const node = leader();
      for (let atMs = 1250; atMs < 1900; atMs += 250) {
        node.at(atMs, woke(atMs)).at(atMs + 1, answer(atMs));
      }
      expect(trustedUntilMs(node.state)).to.equal(2550);
      node.at(2010, woke(1000));
      expect(node.kinds).to.deep.equal([]);
      expect(node.state.wakeAtMs).to.equal(2060);
      expect(node.at(2060, woke(1061)).kinds).to.deep.equal(['send-heartbeat']);
      const hung = leader().at(1250, woke(0)).at(1251, answer(1250)).at(1500, woke(0));
      hung.at(1501, answer(1500)).at(1750, woke(0)).at(1751, answer(1750)).at(2000, woke(0));
      expect(hung.kinds, 'its first second counts as progress').to.deep.equal(['send-heartbeat']);
      hung.at(2001, answer(2000)).at(2250, woke(0));
      expect(hung.kinds).to.deep.equal([]);
      expect(hung.at(2800, woke(0)).kinds).to.deep.equal(['close-session', 'announce-loss']);
    });

    const depositions: readonly (readonly [string, ElectionEventBody])[] = [
      ['its session fails', { kind: 'session-failed', session: 1, reason: 'ended' }],
      ['a higher term is seen', { kind: 'term-seen', term: toTerm(2) }],
      ['the row has a higher term', answer(1250, view(2, 2))],
      ['the row has its term and another name', answer(1250, view(1, 2))],
      ['the row has a lower term: the database was rolled back', answer(1250, view(0))],
      ['the row names nobody', answer(1250, null)],
      ['its work cannot begin', { kind: 'duty-failed', reason: 'no room' }],
      ['it resigns', { kind: 'resigned' }],
      ['it stops', { kind: 'stopped' }],
    ];
    for (const [what, event] of depositions) {
      it(`steps down at once when ${what}, closing the socket before it says so`, () => {
        const node = leader().at(1250, woke(1250)).at(1260, event);
        expect(roleOf(node.state)).to.be.oneOf(['follower', 'stopped']);
        expect(node.kinds).to.deep.equal(['close-session', 'announce-loss']);
      });
    }

    it('leads on where a term is seen that is not above its own', () => {
      const node = leader().at(1100, { kind: 'term-seen', term: toTerm(1) });
      expect(roleOf(node.state)).to.equal('leader');
    });

    it('only reads for penaltyMs after it lost the office', () => {
      const node = leader()
        .at(1100, { kind: 'term-seen', term: toTerm(2) }, 0)
        .at(1100, woke());
      node.at(1101, { kind: 'session-opened', session: 2 });
      expect(node.kinds).to.deep.equal(['read-term']);
      node.at(1102, { kind: 'term-read', session: 2, view: view(2, 2) });
      expect(node.kinds).to.deep.equal(['report-leader']);
      expect(node.at(1599, woke()).kinds).to.deep.equal(['read-term']);
      node.at(1600, { kind: 'term-read', session: 2, view: view(2, 2) });
      expect(node.at(1700, woke()).kinds).to.deep.equal(['try-lock']);
    });
  });

  describe('a node that resigned', () => {
    it('never tries the lock again, nor keeps a session that may just take it', () => {
      const node = follower().at(2000, woke());
      expect(node.kinds).to.deep.equal(['try-lock']);
      expect(node.at(2001, { kind: 'resigned' }, 0).kinds).to.deep.equal(['close-session']);
      node.at(2001, woke()).at(2002, { kind: 'session-opened', session: 2 });
      expect(node.kinds).to.deep.equal(['read-term']);
      node.at(2003, { kind: 'term-read', session: 2, view: null });
      expect(node.at(9_000_000, woke()).kinds).to.deep.equal(['read-term']);
    });
  });
});
