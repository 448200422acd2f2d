import { expect } from 'chai';
import { Batcher } from '../../node/base/batcher.ts';
import { Gate } from '../../node/base/gate.ts';
import { uuidv7 } from '../../node/base/uuid.ts';

/** Goal: batches by what is there, bounded. Method: a run that ends when the test says so. */
function setup(limits: { batchSizeMax?: number; queueSizeMax?: number } = {}) {
  const runs: { items: readonly number[]; end: (error?: Error) => void }[] = [];
  const batcher = new Batcher<number, string>({
    run: (items) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error): void => {
          if (error === undefined) resolve(items.map((item) => `r${String(item)}`));
          else reject(error);
        };
        runs.push({ items, end });
      }),
    batchSizeMax: 3,
    queueSizeMax: 4,
    ...limits,
  });
  return { batcher, runs };
}

describe('a batcher', () => {
  it('runs the first item at once and gathers the others meanwhile', async () => {
    const { batcher, runs } = setup();
    const results = [1, 2, 3, 4, 5].map((item) => batcher.add(item));
    expect(runs.map((run) => run.items)).to.deep.equal([[1]]);
    runs[0]?.end();
    expect(await results[0]).to.equal('r1');
    expect(runs[1]?.items).to.deep.equal([2, 3, 4]);
    runs[1]?.end();
    expect(await Promise.all(results.slice(1, 4))).to.deep.equal(['r2', 'r3', 'r4']);
    expect(runs[2]?.items).to.deep.equal([5]);
    runs[2]?.end();
    await batcher.stop();
  });

  it('refuses what would overflow its queue, with a code that says so', async () => {
    const { batcher, runs } = setup();
    const taken = [1, 2, 3, 4, 5].map((item) => batcher.add(item));
    const refused = await batcher.add(6).catch((error: unknown) => error);
    expect(refused).to.include({ code: 'overloaded', httpStatus: 429 });
    for (let i = 0; i < 3; i++) {
      runs[i]?.end();
      await taken[i * 2];
    }
    expect(await taken[4]).to.equal('r5');
  });

  it('gives the error of a run to each of its items, and runs the next', async () => {
    const { batcher, runs } = setup();
    const first = batcher.add(1);
    const second = batcher.add(2);
    runs[0]?.end(new Error('boom'));
    expect(await first.catch((error: unknown) => String(error))).to.equal('Error: boom');
    runs[1]?.end();
    expect(await second).to.equal('r2');
  });

  it('answers what it took in before it stops, and refuses the rest', async () => {
    const { batcher, runs } = setup();
    const taken = batcher.add(1);
    const stopped = batcher.stop();
    expect(await batcher.add(2).catch((error: unknown) => error)).to.include({ code: 'stopping' });
    runs[0]?.end();
    expect(await taken).to.equal('r1');
    await stopped;
  });
});

describe('a gate', () => {
  it('lets so many in, so many wait in order, and refuses the rest', async () => {
    const gate = new Gate(1, 1);
    const order: string[] = [];
    let open: () => void = () => undefined;
    const held = gate.run(() => new Promise<void>((resolve) => (open = resolve)));
    const waiting = gate.run(() => {
      order.push('second');
      return Promise.resolve();
    });
    expect(await gate.run(() => Promise.resolve()).catch((error: unknown) => error)).to.include({
      code: 'overloaded',
    });
    expect(order).to.deep.equal([]);
    open();
    await held;
    await waiting;
    expect(order).to.deep.equal(['second']);
    await gate.run(() => Promise.resolve());
  });

  it('frees its place when the work fails', async () => {
    const gate = new Gate(1, 0);
    await gate.run(() => Promise.reject(new Error('no'))).catch(() => undefined);
    expect(await gate.run(() => Promise.resolve(5))).to.equal(5);
  });
});

describe('ids by time', () => {
  it('rise, are UUIDs of version 7, and never repeat', () => {
    const ids = Array.from({ length: 20_000 }, uuidv7);
    expect([...ids].sort()).to.deep.equal(ids);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const id of ids.slice(0, 100)) {
      expect(id).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});
