// Goal: no fault of the network or of a peer costs more than the link it struck.
// Method: real gRPC through a TCP proxy that cuts, falls silent or stops reading.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { manualTimers, setup } from './setup.ts';
import type { Accepted, Dialled, Setup } from './setup.ts';
import { systemClock } from '../../node/base/clock.ts';
import type { Clock } from '../../node/base/clock.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';
import type { TcpProxy } from '../support/tcp-proxy.ts';

describe('a link under faults', () => {
  let world: Setup;
  let proxy: TcpProxy;
  let node: Dialled;
  let leader: Accepted;

  const open = async (
    options: Parameters<typeof setup>[0] = {},
    clock: Clock = systemClock,
  ): Promise<void> => {
    world = await setup(options);
    proxy = await createTcpProxy({ target: { host: '127.0.0.1', port: world.port } });
    node = world.dial({
      address: `127.0.0.1:${String(proxy.port)}`,
      outboxBounds: { framesMax: 100, bytesMax: 1_000_000 },
      clock,
    });
    leader = await world.accepted.first();
    leader.link.send({ term: 1 });
    await node.messages.first();
  };

  afterEach(async () => {
    await proxy.close();
    await world.tearDown();
  });

  const column = (value: number): number[] => new Array<number>(10_000).fill(value);
  const grants = {
    seqs: column(2 ** 40),
    leaseSeqs: column(1),
    attempts: column(0),
    losses: column(0),
  };

  it('ends at once on both sides when its connection is cut', async () => {
    await open();
    proxy.cutAll();
    expect(await node.closed.first()).to.match(/^(UNAVAILABLE|CANCELLED|INTERNAL)/);
    await leader.closed.first();
  });

  it('ends on both sides when its peer falls silent for 7 s', async () => {
    await open();
    proxy.pause();
    expect(await node.closed.first()).to.match(/^(UNAVAILABLE|CANCELLED|INTERNAL)/);
    await leader.closed.first();
  });

  it('is left by a node that closes it, though the leader answers nothing', async () => {
    const timers = manualTimers();
    await open({}, timers.clock);
    proxy.pause();
    node.link.close();
    await nextTurn();
    expect(node.closed.all).to.have.length(0);
    timers.fire(500);
    await nextTurn();
    expect(node.closed.all).to.have.length(1);
    expect(await node.closed.first()).to.equal('closed by this node');
  });

  it('is cut by the leader, once, when its node does not read', async () => {
    await open({ outboxBounds: { framesMax: 100, bytesMax: 4_000_000 } });
    proxy.pause('to-client');
    let sent = 0;
    while (leader.closed.all.length === 0) {
      leader.link.send({ term: 1, grants });
      sent += 1;
      await nextTurn();
    }
    // Beyond the bound there is what the stream and the kernel had already taken.
    expect(sent).to.be.within(4_000_000 / (10_000 * 4 * 8), 200);
    expect(leader.link.send({ term: 1 })).to.equal(sent + 2);
    await nextTurn();
    expect(leader.closed.all).to.have.length(1);
    const warnings = world.lines.filter(({ level }) => level === 'warn');
    expect(warnings.map(({ message }) => message)).to.deep.equal([
      'a node does not read its stream; the link is cut',
    ]);
  });

  it('is cut by the node when its leader does not read', async () => {
    await open();
    proxy.pause('to-target');
    const { seqs, leaseSeqs } = grants;
    while (node.closed.all.length === 0) {
      node.link.send({ heartbeat: { number: 1, processed: 0, draining: false, seqs, leaseSeqs } });
      await nextTurn();
    }
    expect(await node.closed.first()).to.equal('the leader does not read its stream');
  });

  it('carries far more than its bound to a node that reads', async () => {
    await open({ outboxBounds: { framesMax: 4, bytesMax: 4_000_000 } });
    for (let frames = 1; frames < 100; frames += 2) {
      leader.link.send({ term: 1, grants });
      leader.link.send({ term: 1, grants });
      await node.messages.atLeast(frames + 2);
    }
    expect(leader.closed.all).to.have.length(0);
  });

  it('shares no connection with another link to the same address', async () => {
    await open();
    world.dial({ address: `127.0.0.1:${String(proxy.port)}` });
    await world.accepted.atLeast(2);
    expect(proxy.connections()).to.equal(2);
  });

  it('does not go through the proxy that the environment names for the web', async () => {
    const before = process.env.http_proxy;
    process.env.http_proxy = 'http://127.0.0.1:1';
    try {
      await open();
    } finally {
      if (before === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = before;
    }
  });

  it('delivers what was held back once the network is whole again', async () => {
    await open();
    proxy.pause();
    leader.link.send({ term: 1, toldThrough: 8 });
    node.link.send({ look: true });
    proxy.resume();
    expect((await node.messages.atLeast(2))[1]).to.include({ toldThrough: 8 });
    expect(await leader.messages.first()).to.include({ look: true });
  });

  it('survives a server that stops: every stream ends, sent frames first', async () => {
    await open();
    leader.link.send({ term: 1, goodbye: true });
    await world.server.stop(1000);
    expect(await node.closed.first()).to.equal('ended by the leader');
    expect(node.messages.all.at(-1)).to.include({ goodbye: true });
    await leader.closed.first();
  });

  it('is cut at the deadline of a stop when its node is frozen', async () => {
    await open();
    proxy.pause();
    await world.server.stop(20);
    await leader.closed.first();
    expect(node.closed.all).to.have.length(0);
    // What the node sees when it thaws is not an open link.
    proxy.resume();
    await node.closed.first();
  });
});

describe('links in number', () => {
  /** Kinds of what keeps a process alive, with their counts. */
  const resources = (): string => process.getActiveResourcesInfo().sort().join();

  it('leave nothing behind after 200 are dialled and closed', async () => {
    const world = await setup();
    const cycle = async (): Promise<void> => {
      const node = world.dial();
      const { link, closed } = (await world.accepted.atLeast(1)).at(-1) as Accepted;
      link.send({ term: 1 });
      await node.messages.first();
      if (world.accepted.all.length % 2 === 0) node.link.close();
      else link.close();
      await Promise.all([node.closed.first(), closed.first()]);
      world.accepted.all.length = 0;
    };
    await cycle();
    const before = resources();
    for (let i = 0; i < 200; i++) await cycle();
    // Sockets close a few turns after their links.
    while (resources() !== before) await nextTurn();
    await world.tearDown();
  });

  it('leave nothing behind after 50 refused dials', async () => {
    const world = await setup({ accept: () => ({ refused: 'not the leader' }) });
    const before = resources();
    for (let i = 0; i < 50; i++) await world.dial().closed.first();
    while (resources() !== before) await nextTurn();
    await world.tearDown();
  });
});
