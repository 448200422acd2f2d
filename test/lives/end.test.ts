import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { handlerOf } from '../workers/fakes.ts';
import { until, World } from './setup.ts';

/**
 * Goal: a node that ends says so only when nothing that it began runs any more, because its tasks are
 * given to others right then (rule 7).
 * Method: a whole node, and what its row says afterwards.
 * Seen to fail: each test names the change of the code that it caught.
 */
describe('the end of a life', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  // Seen to fail without the wait for handlers in Executor.stop.
  it('signs out when what ran has heeded its signal, in its own time', async () => {
    let begun = 0;
    let ended = 0;
    const slow = handlerOf('slow', async (_task, { signal }) => {
      begun += 1;
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve);
      });
      await systemClock.sleep(50);
      ended += 1;
    });
    const node = await world.begin({ handlers: [slow] });
    await world.submit('slow', 2);
    await until(() => begun === 2);
    await node.lives.end();
    expect(ended).to.equal(2);
    expect(await world.stateOf(node.nodeId)).to.equal('left');
  });

  // Seen to fail with a sign-out whatever the worker answers.
  it('does not sign out while a handler may run on: the lease keeps others from its task', async () => {
    let begun = 0;
    const deaf = handlerOf('deaf', () => {
      begun += 1;
      return new Promise(() => undefined);
    });
    const node = await world.begin({ handlers: [deaf] });
    const other = await world.begin({ handlers: [deaf] });
    await world.submit('deaf', 8);
    await until(() => begun === 8);
    await node.lives.end();
    expect(await world.stateOf(node.nodeId)).to.equal('alive');
    await until(() => other.isLeader);
    expect(begun).to.equal(8);
  });
});
