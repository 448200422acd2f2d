import { expect } from 'chai';
import fc from 'fast-check';
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { LiveReader } from '../../node/api/live/reader.ts';
import type { LiveReaderDeps } from '../../node/api/live/reader.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { connect } from './live-support.ts';
import type { Seen } from './live-support.ts';
import { FakeFeed, startApi } from './support.ts';
import type { Api } from './support.ts';

/**
 * Goal: whatever clients do, a node goes on, and spends no more on them than it may.
 * Method: real sockets for what is said, a clock that the test moves for what is spent.
 */
describe('what is no message of the live protocol', () => {
  let api: Api;
  let witness: Seen;
  before(async () => {
    api = await startApi();
    witness = connect(api);
    await witness.hear('hello', ({ type }) => type === 'hello');
  });
  after(async () => {
    witness.socket.terminate();
    await api.close();
  });

  /** What comes of a frame: a fault, or a close with a code. */
  const fateOf = async (frame: string | Buffer): Promise<string> => {
    const client = connect(api);
    await client.hear('hello', ({ type }) => type === 'hello');
    const closed = once(client.socket, 'close').then(([code]) => `closed ${String(code)}`);
    const faulted = client.hear('a fault', ({ type }) => type === 'fault').then(() => 'fault');
    faulted.catch(() => undefined);
    client.socket.send(frame);
    const fate = await Promise.race([closed, faulted]);
    client.socket.terminate();
    return fate;
  };

  it('gets a fault or a close, whatever it is, and the node serves on', async () => {
    const frames = fc.oneof(
      fc.json({ maxDepth: 5 }),
      fc.string({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.record({ type: fc.constantFrom('subscribe', 'other'), sub: fc.anything() }).map(textOf),
      fc
        .record({ view: fc.constantFrom('tasks', 'task', 'overview', 'none'), id: fc.anything() })
        .map((to) => textOf({ type: 'subscribe', sub: 'a', to: { ...to, more: 1 } })),
    );
    const check = async (frame: string | Buffer): Promise<void> => {
      expect(await fateOf(frame)).to.match(/^fault$|^closed 1\d\d\d$/);
    };
    await fc.assert(fc.asyncProperty(frames, check), { numRuns: 60, endOnFailure: true });
    const deep = '['.repeat(60_000);
    expect(await fateOf(deep)).to.equal('fault');
    expect(await fateOf(`{"type":"subscribe","sub":"a","to":${deep}${']'.repeat(5)}`)).to.equal(
      'fault',
    );
    expect(await fateOf(`{"type":"ping","__proto__":{"a":1}}`)).to.equal('fault');
    expect(await fateOf('x'.repeat(64 * 1024 + 1))).to.equal('closed 1009');
    witness.say({ type: 'ping' });
    await witness.hear('pong', ({ type }) => type === 'pong');
  });

  it('is cut off where it is no frame at all', async () => {
    const client = connect(api);
    await client.hear('hello', ({ type }) => type === 'hello');
    const closed = once(client.socket, 'close');
    const raw = (client.socket as unknown as { _socket: { write(bytes: Buffer): void } })._socket;
    raw.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    expect((await closed)[0]).to.be.within(1002, 1009);
  });

  it('is cut off where it answers no ping', async function () {
    this.timeout(40_000);
    const silent = new WebSocket(`${api.url.replace('http', 'ws')}/ws`, { autoPong: false });
    await once(silent, 'open');
    const [code] = (await once(silent, 'close')) as [number];
    // Torn, not closed: there is nobody to say goodbye to.
    expect(code).to.equal(1006);
    expect(witness.socket.readyState).to.equal(WebSocket.OPEN);
  });
});

describe('the reads of live views', () => {
  const READ_MS = 50;

  function setup({ readMs = READ_MS, rows = 0 } = {}) {
    const clock = new FakeClock();
    const feed = new FakeFeed();
    let [reads, changes] = [0, 0];
    const read = async <T>(answer: T): Promise<T> => {
      reads += 1;
      await clock.sleep(readMs);
      return answer;
    };
    const anew = (): object => ({
      next: null,
      tasks: Array.from({ length: rows }, (_, at) => ({
        ...{ id: `t-${String(reads)}-${String(at)}`, seq: reads * 1000 + at, status: 'COMPLETED' },
        ...{ runAt: null, createdAt: new Date(0), startedAt: null, finishedAt: null },
      })),
    });
    const deps = {
      ...{ clock, feed, onChange: () => (changes += 1) },
      log: { debug: Number, info: Number, warn: Number, error: Number },
      tasks: { list: () => read(anew()), some: () => read([]) },
      workflows: { list: () => read({ workflows: [], next: null }) },
    } as unknown as LiveReaderDeps;
    return { clock, feed, reader: new LiveReader(deps), reads: () => reads };
  }

  it('take half of one connection at most, however many views are watched', async () => {
    const { clock, reader, reads } = setup();
    const topics = Array.from({ length: 50 }, (_, at) =>
      reader.join({ view: 'tasks', tag: String(at) }),
    );
    await clock.advance(60_000);
    expect((reads() * READ_MS) / 60_000).to.be.within(0.3, 0.55);
    for (const topic of topics) reader.leave(topic);
    const stopped = reader.stop();
    await clock.advance(1000);
    await stopped;
  });

  it('are fewer where a leader tells what changes, and not when it falls silent', async () => {
    const { clock, feed, reader, reads } = setup();
    const topic = reader.join({ view: 'workflows' });
    await clock.advance(10_000);
    const alone = reads();
    expect(alone).to.be.within(8, 11);
    feed.isLinked = true;
    feed.sayNews({});
    await clock.advance(1000);
    const before = reads();
    await clock.advance(20_000);
    expect(reads() - before).to.be.within(3, 5);
    feed.isLinked = false;
    const silent = reads();
    await clock.advance(10_000);
    expect(reads() - silent).to.be.within(8, 11);
    reader.leave(topic);
    await clock.advance(2000);
    expect(reader.isAwake).to.equal(false);
    await reader.stop();
  });

  it('are one a second of a list of which most rows are new each time', async () => {
    for (const [rows, least, most] of [
      [60, 8, 11],
      [10, 30, 60],
    ] as const) {
      const { clock, feed, reader, reads } = setup({ readMs: 1, rows });
      reader.join({ view: 'tasks' });
      feed.isLinked = true;
      await clock.advance(2000);
      const before = reads();
      for (let lastSeq = 1; lastSeq <= 50; lastSeq++) {
        feed.sayNews({ lastSeq });
        await clock.advance(200);
      }
      expect(reads() - before).to.be.within(least, most);
    }
  });

  it('are a few a second at most for a view of which news never ends', async () => {
    const { clock, feed, reader, reads } = setup();
    reader.join({ view: 'tasks' });
    feed.isLinked = true;
    await clock.advance(2000);
    const before = reads();
    for (let lastSeq = 1; lastSeq <= 100; lastSeq++) {
      feed.sayNews({ lastSeq });
      await clock.advance(200);
    }
    // 20 s of news; a read of 50 ms is followed by a second.
    expect(reads() - before).to.be.within(15, 22);
  });
});

function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'bigint' ? String(part) : part,
  );
}
