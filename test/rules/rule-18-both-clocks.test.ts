import { expect } from 'chai';
import { LeaderContact } from '../../node/cluster/leader-contact.ts';
import type { FromLeader } from '../../node/core/messages.ts';
import { LAN } from '../../node/core/timings.ts';
import { ModelClock } from '../scheduler/model-clock.ts';
import { Graveyard, NODE_ROW, turn } from './reaper-setup.ts';
import { Tables } from './setup.ts';

/** From the last sign of life to the reclaim. */
const WAIT_MS = LAN.leaseMs + LAN.guardMs;

/**
 * Rule 18: reclaim without proven death needs both clocks: the database's, and L + guard on the leader's
 * monotonic clock since it last saw that lease renewed or since its takeover. A node that cannot renew
 * aborts its tasks before anyone may start them.
 * Seen to fail: without `node.isExpired &&`, without `&& isOverHere`, with the first look taken for a
 * renewal of long ago, without the time in the statement of buryNode, and with the node's lease counted
 * from the answer in place of the send.
 */
describe('rule 18: by the clock of the database', () => {
  let tables: Tables;
  before(async () => {
    tables = await Tables.open();
  });
  beforeEach(() => tables.reset());
  after(() => tables.close());

  const expire = (): Promise<unknown> =>
    tables.sql.rows(`update skein.node set lease_until = clock_timestamp() - interval '5 s'`);

  it('a lease that is over by less than the guard is not taken for over', async () => {
    await expire();
    const writer = tables.sql.writer();
    expect(await writer.buryNode(1, false, 6000)).to.equal(false);
    expect(await writer.buryNode(1, false, 4000)).to.equal(true);
    expect(await writer.buryNode(1, false, 4000), 'once').to.equal(false);
  });

  it('a renewal that commits first saves the node', async () => {
    await expire();
    const [node, leader] = await tables.pair();
    expect(await node.registry.renewMany([1], 10_000)).to.have.length(1);
    const buried = leader.writer().buryNode(1, false, 500);
    await tables.waits(leader);
    await node.commit();
    expect(await buried).to.equal(false);
  });

  it('a burial that commits first refuses the renewal: the node learns that it is dead', async () => {
    await expire();
    const [leader, node] = await tables.pair();
    expect(await leader.writer().buryNode(1, false, 500)).to.equal(true);
    const renewed = node.registry.renewMany([1], 10_000);
    await tables.waits(node);
    await leader.commit();
    expect(await renewed).to.deep.equal([]);
  });
});

describe('rule 18: by both clocks', () => {
  it('a new leader waits a whole lease and guard, whatever the database says', async () => {
    const yard = new Graveyard();
    await yard.pass(2 * WAIT_MS);
    await yard.end();
    expect(yard.buriedAtMs).to.be.within(WAIT_MS, WAIT_MS + 2 * LAN.renewMs);
  });

  it('a renewal seen later starts the wait anew', async () => {
    const yard = new Graveyard();
    await yard.pass(WAIT_MS - 1500);
    yard.row = { ...NODE_ROW, leaseUntilMs: 6 };
    await yard.pass(WAIT_MS - 1500);
    expect(yard.buriedAtMs).to.equal(-1);
    await yard.pass(5000);
    await yard.end();
    expect(yard.buriedAtMs).to.be.above(2 * WAIT_MS - 1500);
  });

  it('a node that the database holds for dead is told so, whoever hears its heartbeat', async () => {
    const yard = new Graveyard();
    yard.due = new Map([[1, 5]]);
    await yard.pass(2 * LAN.renewMs);
    yard.renewed = [{ nodeId: 1, leaseUntilMs: 9 }];
    yard.due = new Map([[1, 6]]);
    await yard.pass(2 * LAN.renewMs);
    await yard.end();
    expect(yard.answers).to.deep.equal([
      [1, 5, false],
      [1, 6, true],
    ]);
  });

  it('and nobody is buried whose lease the database holds for good', async () => {
    const yard = new Graveyard();
    yard.row = { ...NODE_ROW, isExpired: false };
    await yard.pass(5 * WAIT_MS);
    await yard.end();
    expect(yard.buriedAtMs).to.equal(-1);
  });
});

describe('rule 18: a node that cannot renew', () => {
  it('aborts its tasks before the lease is over, counted from the send of its last renewal', async () => {
    const clock = new ModelClock();
    const beats: { readonly number: number; readonly atMs: number }[] = [];
    let say: (message: FromLeader) => void = () => undefined;
    let abortedMs = Infinity;
    const contact = new LeaderContact({
      ...{
        clock,
        timings: LAN,
        onEnded: () => 0,
        onTerm: () => 0,
        onNews: () => 0,
        onDrain: () => 0,
        onBuried: () => 0,
      },
      ...{ setLinkHealthy: () => undefined, observeTerm: () => undefined },
      log: { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0 },
      metrics: { heartbeatAnswered: () => undefined },
      hello: {
        ...{ nodeId: 1, incarnation: 'i', name: 'node-1', slots: 1 },
        ...{ types: [], simulates: false, version: '1' },
      },
      registeredMs: clock.nowMs,
      renew: () => Promise.reject(new Error('the database is away')),
      worker: {
        inventory: { seqs: [], leaseSeqs: [] },
        outageSinceMs: undefined,
        accept: () => undefined,
        abort: () => undefined,
        recall: () => undefined,
        markStarted: () => Promise.resolve(),
        interruptAll: () => {
          abortedMs = Math.min(abortedMs, clock.nowMs);
        },
      },
      dial: ({ onMessage }) => {
        say = onMessage;
        return {
          send: ({ heartbeat }) => {
            if (heartbeat !== undefined)
              beats.push({ number: heartbeat.number, atMs: clock.nowMs });
          },
          close: () => undefined,
          lastHeardMs: () => clock.nowMs,
        };
      },
    });
    contact.start();
    contact.follow({ term: 1, grpcAddress: 'leader' });
    while (clock.nowMs < 3000) {
      await turn();
      clock.advance();
    }
    const last = beats.at(-1) ?? { number: 0, atMs: 0 };
    while (clock.nowMs < last.atMs + 900) clock.advance();
    // The answer took most of a second; the renewal was in the database at some instant before.
    say({ term: 1, number: 1, answer: { number: last.number, renewed: true } });
    while (abortedMs === Infinity) {
      await turn();
      clock.advance();
    }
    await contact.stop();
    expect(abortedMs - last.atMs).to.be.within(LAN.abortMs, LAN.killMs - 1);
    expect(abortedMs - last.atMs).to.be.below(LAN.abortMs + 200);
  });
});
