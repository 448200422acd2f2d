import { expect } from 'chai';
import { Teller } from '../../node/cluster/teller.ts';
import type { LeaseClaim } from '../../node/core/events.ts';
import { SettledAs } from '../../node/core/messages.ts';
import { EndCode } from '../../node/core/task.ts';
import { Graveyard, NODE_ROW } from './reaper-setup.ts';
import { Bench, rowsOf, type TaskSketch } from '../scheduler/setup.ts';

/**
 * Rule 1: every message is a hint. The leader re-reads the leases of a node whose stream is down or
 * silent, any lease missing from an inventory, any row its own statement did not return; row gone: it
 * acts as if told. A node tells again what it settled until a leader acknowledges it.
 * Seen to fail: without rereadHeld, without the claim by inventory, without each of the four doubts of
 * settlements.ts, with `endUnknown` alone for what was read as ended, and with `pending = []` in tell.
 */
describe('rule 1: every message is a hint', () => {
  const reread = (
    bench: Bench,
    claims: readonly LeaseClaim[],
    found: {
      readonly live?: readonly TaskSketch[];
      readonly ended?: readonly (readonly [number, EndCode, number])[];
    },
  ): Bench =>
    bench.step({
      kind: 'tasks-reread',
      claims,
      rows: rowsOf(...(found.live ?? [])),
      endedSeqs: (found.ended ?? []).map(([seq]) => seq),
      endedCodes: (found.ended ?? []).map(([, code]) => code),
      endedLeaseSeqs: (found.ended ?? []).map(([, , leaseSeq]) => leaseSeq),
    });
  const claimsOf = (bench: Bench): readonly LeaseClaim[] =>
    bench.effect('reread-tasks')?.claims ?? [];
  const claimed = (bench: Bench): readonly number[] => claimsOf(bench).map(({ seq }) => seq);

  it('what a silent node settled and could not tell is read, and acted on as if told', () => {
    const bench = new Bench()
      .join(7, 2)
      .join(8, 1)
      .load({ seq: 1 }, { seq: 2, deps: [1] })
      .grant();
    bench.step({ kind: 'node-unlinked', nodeId: 7 }, { kind: 'node-silent', nodeId: 7 });
    expect(claimed(bench)).to.deep.equal([1]);
    reread(bench, claimsOf(bench), { ended: [[1, EndCode.COMPLETED, 1]] });
    expect(bench.effect('tell-ended')?.seqs).to.deep.equal([1]);
    expect(bench.effect('persist-leases')).to.deep.include({ seqs: [2], nodeIds: [8] });
  });

  it('once a second, for as long as its stream is down', async () => {
    const yard = new Graveyard();
    yard.row = { ...NODE_ROW, isExpired: false };
    await yard.pass(10_000);
    await yard.end();
    const asked = yard.events.filter(({ kind }) => kind === 'node-silent');
    expect(asked.length).to.be.within(9, 12);
  });

  it('what it still runs is left alone', () => {
    const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
    bench.step({ kind: 'node-silent', nodeId: 7 });
    reread(bench, claimsOf(bench), { live: [{ seq: 1, leaseSeq: 1, nodeId: 7 }] });
    expect(bench.effects).to.deep.equal([]);
  });

  it('a failed attempt that nobody told of is queued again at its time', () => {
    const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
    bench.step({ kind: 'node-silent', nodeId: 7 });
    const runAtMs = bench.nowMs + 100;
    reread(bench, claimsOf(bench), { live: [{ seq: 1, leaseSeq: 2, runAtMs }] });
    expect(bench.leased).to.deep.equal([]);
    bench.nowMs = runAtMs;
    expect(bench.step().effect('persist-leases')).to.deep.include({ seqs: [1], leaseSeqs: [2] });
  });

  describe('a lease that is missing from an inventory', () => {
    const begin = (): Bench => {
      const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
      const throughStep = bench.scheduler.steps;
      const heartbeat = { number: 1, processed: 1, draining: false, seqs: [], leaseSeqs: [] };
      return bench.step({ kind: 'inventory-received', nodeId: 7, heartbeat, throughStep });
    };

    it('is read again and, where nobody runs it, given back', () => {
      const bench = begin();
      reread(bench, claimsOf(bench), { live: [{ seq: 1, leaseSeq: 1, nodeId: 7 }] });
      const back = { kind: 'persist-releases', nodeId: 7, seqs: [1], leaseSeqs: [1] };
      expect(bench.effects).to.deep.equal([back]);
    });

    it('is not given back where it turns out to be settled', () => {
      const bench = begin();
      reread(bench, claimsOf(bench), { ended: [[1, EndCode.FAILED, 1]] });
      expect(bench.effect('persist-releases')).to.equal(undefined);
      expect(bench.scheduler.counts).to.deep.include({ tasks: 0, leased: 0 });
    });
  });

  it('a lease that only the node knows is read, and aborted where it is not its own', () => {
    const bench = new Bench().join(7, 1).load({ seq: 1, leaseSeq: 5, nodeId: 8 });
    const heartbeat = { number: 1, processed: 0, draining: false, seqs: [1, 2], leaseSeqs: [3, 4] };
    bench.step({ kind: 'inventory-received', nodeId: 7, heartbeat, throughStep: 0 });
    expect(claimed(bench)).to.deep.equal([1, 2]);
    reread(bench, claimsOf(bench), {
      live: [
        { seq: 1, leaseSeq: 5, nodeId: 8 },
        { seq: 2, leaseSeq: 4, nodeId: 7 },
      ],
    });
    const aborts = bench.effect('send-aborts');
    expect(aborts).to.deep.include({ nodeId: 7, seqs: [1], leaseSeqs: [3], reason: 'not-yours' });
    expect(bench.scheduler.counts.leased, 'the other is adopted').to.equal(2);
  });

  describe('a row that a statement of the leader did not return is read again:', () => {
    it('of a skip', () => {
      const bench = new Bench()
        .join(7, 1)
        .load({ seq: 1 }, { seq: 2, deps: [1] })
        .grant();
      bench.settle(7, 1, 1, SettledAs.FAILED);
      const none = { seqs: [], codes: [], leaseSeqs: [], markedSeqs: [] };
      bench.step({ kind: 'ends-persisted', asked: [2], ...none });
      expect(claimed(bench)).to.deep.equal([2]);
    });

    it('of a cancel, also where it was marked and its holder is not known', () => {
      const bench = new Bench().load({ seq: 1 }, { seq: 2 });
      bench.step({ kind: 'cancels-requested', seqs: [1, 2] });
      const none = { seqs: [], codes: [], leaseSeqs: [] };
      bench.step({ kind: 'ends-persisted', asked: [1, 2], ...none, markedSeqs: [2] });
      expect(claimed(bench)).to.have.members([1, 2]);
      const row = { seq: 2, leaseSeq: 1, nodeId: 7, cancel: true };
      reread(bench, claimsOf(bench), { live: [row], ended: [[1, EndCode.CANCELLED, 0]] });
      const aborts = bench.effect('send-aborts');
      expect(aborts).to.deep.include({ nodeId: 7, seqs: [2], reason: 'cancelled' });
      expect(bench.scheduler.counts).to.deep.include({ tasks: 1, leased: 1 });
    });

    it('of a take-back', () => {
      const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
      bench.step({ kind: 'node-lost', nodeId: 7 });
      const none = { seqs: [], nextLeaseSeqs: [], losses: [], cancelledSeqs: [] };
      bench.step({ kind: 'leases-ended', asked: [1], ...none });
      expect(claimed(bench)).to.deep.equal([1]);
    });

    it('of a lease whose COMMIT nobody answered: its node has never heard of it', () => {
      const bench = new Bench().join(7, 1).load({ seq: 1 });
      bench.step({ kind: 'leases-persisted', asked: [1], seqs: [], leaseSeqs: [] });
      reread(bench, claimsOf(bench), { live: [{ seq: 1, leaseSeq: 1, nodeId: 7 }] });
      expect(bench.leased, 'its slot is taken').to.deep.equal([]);
      const heartbeat = { number: 1, processed: 9, draining: false, seqs: [], leaseSeqs: [] };
      const throughStep = bench.scheduler.steps;
      bench.step({ kind: 'inventory-received', nodeId: 7, heartbeat, throughStep });
      reread(bench, claimsOf(bench), { live: [{ seq: 1, leaseSeq: 1, nodeId: 7 }] });
      expect(bench.effect('persist-releases')?.seqs).to.deep.equal([1]);
    });
  });

  it('a row that was read before its lease ended does not bring the lease back', () => {
    const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
    bench.step({ kind: 'node-silent', nodeId: 7 });
    const claims = claimsOf(bench);
    bench.settle(7, 1, 1, SettledAs.RETRY, bench.nowMs + 100);
    reread(bench, claims, { live: [{ seq: 1, leaseSeq: 1, nodeId: 7 }] });
    expect(bench.scheduler.counts.leased).to.equal(0);
    bench.nowMs += 100;
    expect(bench.step().effect('persist-leases')).to.deep.include({ seqs: [1], leaseSeqs: [2] });
  });

  it('a word that comes twice, or late, changes nothing', () => {
    const bench = new Bench().join(7, 1).load({ seq: 1 }).grant();
    bench.settle(7, 1, 1, SettledAs.RETRY);
    expect(bench.grant().scheduler.counts.leased).to.equal(1);
    expect(bench.settle(7, 1, 1, SettledAs.RETRY).effects).to.deep.equal([]);
    expect(bench.settle(7, 1, 1, SettledAs.COMPLETED).effects).to.deep.equal([]);
    expect(bench.scheduler.counts.leased).to.equal(1);
  });

  it('a node tells again on each stream what nobody has acknowledged, and then no more', () => {
    const teller = new Teller();
    const end = { settledAs: SettledAs.COMPLETED, nextLeaseSeq: 0, attempt: 1 };
    const outcome = { ...end, runAtMs: 0, runMs: 1 };
    const first = teller.tell([{ seq: 1, leaseSeq: 1, ...outcome }]);
    const second = teller.tell([{ seq: 2, leaseSeq: 1, ...outcome }]);
    teller.acknowledge(first.number);
    const again = teller.tellAgain();
    expect(again?.seqs).to.deep.equal([2]);
    // An answer to what was said on the stream before does not count for this one.
    teller.acknowledge(second.number);
    expect(teller.tellAgain()?.seqs).to.deep.equal([2]);
    teller.acknowledge(Infinity);
    expect(teller.tellAgain()).to.equal(undefined);
    expect(teller.size).to.equal(0);
  });
});
