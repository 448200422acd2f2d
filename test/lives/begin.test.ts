import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import { LAN } from '../../node/core/timings.ts';
import { World } from './setup.ts';

/**
 * Goal: a node never believes in its lease for longer than the database does, from its first moment on.
 * Method: a whole node whose registration is answered late.
 * Seen to fail: with a lease that counts from the answer.
 */
describe('the begin of a life', () => {
  it('counts the lease from before the registration was sent', async () => {
    const world = await World.open();
    const lateMs = 300;
    const node = await world.begin({
      surround: (real) => ({
        ...real,
        connect: (role, statementTimeoutMs, anchor) => {
          const connection = real.connect(role, statementTimeoutMs, anchor);
          return {
            query: async (statement, values) => {
              const rows = await connection.query(statement, values);
              if (statement.name === 'node-registry.register') await systemClock.sleep(lateMs);
              return rows;
            },
            close: () => connection.close(),
          };
        },
      }),
    });
    const leftMs = node.lives.current?.contact.leaseLeftMs;
    await world.close();
    expect(leftMs).to.be.at.most(LAN.killMs - lateMs + 1);
  });
});
