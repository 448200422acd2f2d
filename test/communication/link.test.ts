// Goal: the life of a link between a node and the leader, from hello to end.
// Method: real gRPC on loopback, both ends in this process; every wait is for a message or an end.
import { expect } from 'chai';
import { HELLO, manualTimers, recordingLog, setup } from './setup.ts';
import type { Setup } from './setup.ts';
import { systemClock } from '../../node/base/clock.ts';
import type { FromNode } from '../../node/core/messages.ts';
import { createTcpProxy } from '../support/tcp-proxy.ts';

describe('a link between a node and the leader', () => {
  let world: Setup;
  afterEach(async () => {
    await world.tearDown();
  });

  it('opens with the hello of the node', async () => {
    world = await setup();
    world.dial();
    const { link } = await world.accepted.first();
    expect(link.hello).to.deep.equal(HELLO);
  });

  it('is refused with the reason of the role', async () => {
    world = await setup({ accept: () => ({ refused: 'not the leader' }) });
    const { closed, messages } = world.dial();
    expect(await closed.first()).to.equal('refused: not the leader');
    expect(messages.all).to.have.length(0);
  });

  it('is refused when the role fails to accept it', async () => {
    world = await setup({
      accept: () => {
        throw new Error('out of order');
      },
    });
    const { closed } = world.dial();
    expect(await closed.first()).to.equal('refused: the link could not be accepted');
    expect(world.lines.filter(({ level }) => level === 'error')).to.have.length(1);
  });

  it('reports an address where nobody listens', async () => {
    world = await setup();
    await world.server.stop(1000);
    const { closed } = world.dial();
    expect(await closed.first()).to.match(/^UNAVAILABLE/);
  });

  for (const address of ['', 'nowhere.invalid:1', 'a b:c', '127.0.0.1:99999', ':::', '%']) {
    it(`reports the address ${JSON.stringify(address)} as a failed dial`, async () => {
      world = await setup();
      const { closed } = world.dial({ address });
      expect(await closed.first()).to.be.a('string');
    });
  }

  it('gives up on a peer that accepts the connection and says nothing', async () => {
    world = await setup();
    const proxy = await createTcpProxy({ target: { host: '127.0.0.1', port: world.port } });
    proxy.pause();
    const address = `127.0.0.1:${String(proxy.port)}`;
    const { closed } = world.dial({ address, connectTimeoutMs: 50 });
    expect(await closed.first()).to.equal('not accepted within 50 ms');
    await proxy.close();
  });

  it('carries frames in order both ways, the leader’s numbered from 1', async () => {
    world = await setup();
    const node = world.dial();
    const { link, messages } = await world.accepted.first();
    const count = 500;
    for (let number = 1; number <= count; number++) {
      expect(link.send({ term: 4, toldThrough: number })).to.equal(number);
      const heartbeat = { number, processed: 0, draining: false, seqs: [number], leaseSeqs: [1] };
      node.link.send({ heartbeat });
    }
    const fromLeader = await node.messages.atLeast(count);
    const fromNode = await messages.atLeast(count);
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    expect(fromLeader.map(({ number }) => number)).to.deep.equal(numbers);
    expect(fromLeader.map(({ toldThrough }) => toldThrough)).to.deep.equal(numbers);
    expect(fromNode.map(({ heartbeat }) => heartbeat?.number)).to.deep.equal(numbers);
  });

  it('keeps what the node sends before the link is up', async () => {
    world = await setup();
    const node = world.dial();
    node.link.send({ look: true });
    node.link.send({ watch: [5] });
    const { messages } = await world.accepted.first();
    const [first, second] = await messages.atLeast(2);
    expect(first).to.include({ look: true });
    expect(second?.watch).to.deep.equal([5]);
  });

  it('lets the leader speak while it accepts', async () => {
    world = await setup({
      accept: (link) => {
        link.send({ term: 9 });
        return { onMessage: () => undefined, onClosed: () => undefined };
      },
    });
    const { messages } = world.dial();
    expect(await messages.first()).to.include({ term: 9, number: 1 });
  });

  it('delivers what was sent before the leader closed it, then ends', async () => {
    world = await setup();
    const node = world.dial();
    const { link, closed } = await world.accepted.first();
    for (let i = 0; i < 100; i++) link.send({ term: 4 });
    link.send({ term: 4, goodbye: true });
    link.close();
    expect(await node.closed.first()).to.equal('ended by the leader');
    expect(node.messages.all).to.have.length(101);
    expect(node.messages.all.at(-1)).to.include({ goodbye: true });
    await closed.first();
  });

  it('delivers what was sent before the node closed it, then ends', async () => {
    world = await setup();
    // The timer that leaves a silent leader never fires: the leader answers the end by itself.
    const node = world.dial({ clock: manualTimers().clock });
    for (let i = 0; i < 100; i++) node.link.send({ look: true });
    node.link.close();
    const { messages, closed } = await world.accepted.first();
    await closed.first();
    expect(messages.all).to.have.length(100);
    expect(await node.closed.first()).to.equal('closed by this node');
  });

  it('reports its end exactly once on each side and delivers nothing after it', async () => {
    world = await setup();
    const node = world.dial();
    const leader = await world.accepted.first();
    node.link.close();
    node.link.close();
    leader.link.close();
    leader.link.close();
    await Promise.all([node.closed.first(), leader.closed.first()]);
    node.link.send({ look: true });
    leader.link.send({ term: 1 });
    await world.tearDown();
    expect(node.closed.all).to.have.length(1);
    expect(leader.closed.all).to.have.length(1);
    expect(leader.messages.all).to.have.length(0);
    expect(node.messages.all).to.have.length(0);
  });

  it('delivers nothing to whoever has closed it, though the other still speaks', async () => {
    world = await setup();
    const [first, second] = [world.dial(), world.dial()];
    const [one, two] = await world.accepted.atLeast(2);
    first.link.close();
    second.link.close();
    one?.link.send({ term: 1 });
    two?.link.send({ term: 1 });
    await Promise.all([first.closed.first(), second.closed.first()]);
    expect([...first.messages.all, ...second.messages.all]).to.have.length(0);

    const third = world.dial();
    const three = (await world.accepted.atLeast(3))[2];
    three?.link.close();
    third.link.send({ look: true });
    await Promise.all([third.closed.first(), three?.closed.first()]);
    expect(three?.messages.all).to.have.length(0);
  });

  it('delivers nothing to a role that closed it over an earlier frame', async () => {
    const heard: FromNode[] = [];
    world = await setup({
      accept: (link) => ({
        onMessage: (message) => {
          heard.push(message);
          link.close();
        },
        onClosed: () => undefined,
      }),
    });
    const node = world.dial();
    for (let i = 0; i < 50; i++) node.link.send({ watch: [i] });
    await node.closed.first();
    expect(heard.map(({ watch }) => watch)).to.deep.equal([[0]]);
  });

  it('tells nobody of its end inside a call of their own', async () => {
    world = await setup();
    const node = world.dial();
    const leader = await world.accepted.first();
    leader.link.close();
    expect(leader.closed.all).to.have.length(0);
    node.link.close();
    expect(node.closed.all).to.have.length(0);
    const hasty = world.dial({ outboxBounds: { framesMax: 2, bytesMax: 1000 } });
    hasty.link.send({ look: true });
    hasty.link.send({ look: true });
    expect(hasty.closed.all).to.have.length(0);
    expect(await hasty.closed.first()).to.equal('the leader does not read its stream');
  });

  it('remembers when the leader was last heard', async () => {
    world = await setup();
    let nowMs = 1000;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const node = world.dial({ clock });
    expect(node.link.lastHeardMs()).to.equal(1000);
    nowMs = 1500;
    const { link } = await world.accepted.first();
    link.send({ term: 1 });
    await node.messages.first();
    expect(node.link.lastHeardMs()).to.equal(1500);
  });

  it('carries 10,000 leases in one frame intact', async () => {
    world = await setup();
    const node = world.dial();
    const { link } = await world.accepted.first();
    const seqs = Array.from({ length: 10_000 }, (_, index) => 2 ** 52 + index);
    const leaseSeqs = seqs.map((_, index) => index);
    const attempts = seqs.map((_, index) => index % 5);
    const losses = seqs.map((_, index) => index % 3);
    link.send({ term: 1, grants: { seqs, leaseSeqs, attempts, losses } });
    const { grants } = await node.messages.first();
    expect(grants).to.deep.equal({ seqs, leaseSeqs, attempts, losses });
  });

  it('is cut when the first message carries no hello', async () => {
    world = await setup();
    const hello = undefined as unknown as typeof HELLO;
    const node = world.dial({ hello });
    expect(await node.closed.first()).to.equal(
      'INVALID_ARGUMENT: the first message carries no hello',
    );
    expect(world.accepted.all).to.have.length(0);
  });

  it('is cut when no hello comes in time', async () => {
    // The server's timers fire at once; a hello cannot be that quick.
    const after = (_ms: number, action: () => void): (() => void) => {
      setImmediate(action);
      return () => undefined;
    };
    world = await setup({ clock: { ...systemClock, after } });
    const node = world.dial();
    expect(await node.closed.first()).to.equal('DEADLINE_EXCEEDED: no hello within 2000 ms');
  });

  it('waits for the hello no longer when it has come', async () => {
    const timers = manualTimers();
    world = await setup({ clock: timers.clock });
    world.dial();
    await world.accepted.first();
    expect(timers.cancelled.all).to.deep.equal([2000]);
  });

  it('is up when it is accepted, though nothing is said on it', async () => {
    world = await setup();
    const timers = manualTimers();
    world.dial({ clock: timers.clock, connectTimeoutMs: 1234 });
    expect(await timers.cancelled.first()).to.equal(1234);
  });

  it('is cut, with a warning, by a frame that makes no sense', async () => {
    world = await setup();
    const node = world.dial();
    const leader = await world.accepted.first();
    const garbled: FromNode = {
      heartbeat: { number: 1, processed: 0, draining: false, seqs: [1, 2], leaseSeqs: [1] },
    };
    node.link.send(garbled);
    expect(await node.closed.first()).to.match(/^INVALID_ARGUMENT: heartbeat has 2 seqs/);
    await leader.closed.first();
    expect(leader.messages.all).to.have.length(0);
    expect(world.lines.filter(({ level }) => level === 'warn')).to.have.length(1);
  });

  it('is cut by the node too, when the leader’s frame makes no sense', async () => {
    world = await setup();
    const { log, lines } = recordingLog();
    const node = world.dial({ log });
    const leader = await world.accepted.first();
    leader.link.send({ term: 1, ended: { seqs: [1], codes: [9] } });
    expect(await node.closed.first()).to.match(/ended.codes has the unknown code 9$/);
    await leader.closed.first();
    expect(lines.filter(({ level }) => level === 'warn')).to.have.length(1);
  });
});
