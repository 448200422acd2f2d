import { expect } from 'chai';
import { Waiter } from '../../node/api/waiter.ts';
import { eventually, FakeFeed, pointersOf, startApi } from './support.ts';
import type { Api } from './support.ts';
import { FakeClock } from '../support/fake-clock.ts';

/**
 * Goal: a waiting request ends with its task, whichever of the three ways brings the news.
 * Method: real HTTP and PostgreSQL, with a feed that says what the test says.
 */
describe('GET /tasks/{id}?wait=', () => {
  let api: Api;
  beforeEach(async () => {
    api = await startApi();
  });
  afterEach(async () => {
    await api.close();
  });

  it('answers 202 with the task as it is when time is up, 200 at once where it has ended', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const early = await api.get('/tasks/a?wait=20ms');
    expect(early.status).to.equal(202);
    expect(early.body).to.include({ status: 'QUEUED' });
    await api.end('a', 'FAILED');
    const done = await api.get('/tasks/a?wait=2m');
    expect(done.status).to.equal(200);
    expect(done.body).to.include({ status: 'FAILED' });
    expect(api.feed.watched.size).to.equal(0);
  });

  it('ends by the word of the feed, which it subscribed to before it read', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const seq = await api.seqOf('a');
    const answer = api.get('/tasks/a?wait=60s');
    await eventually(() => Promise.resolve(api.feed.watched.has(seq)));
    await api.end('a', 'COMPLETED');
    api.feed.sayEnded([seq]);
    expect((await answer).status).to.equal(200);
    expect(api.feed.watched.size).to.equal(0);
  });

  it('is not taken in by a word that is not true', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const seq = await api.seqOf('a');
    const answer = api.get('/tasks/a?wait=300ms');
    await eventually(() => Promise.resolve(api.feed.watched.has(seq)));
    api.feed.sayEnded([seq, seq + 1]);
    expect((await answer).status).to.equal(202);
  });

  it('ends by the poll where no word comes at all', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const seq = await api.seqOf('a');
    const answers = [api.get('/tasks/a?wait=60s'), api.get('/tasks/a?wait=60s')];
    await eventually(() => Promise.resolve(api.feed.watched.has(seq)));
    await api.end('a', 'COMPLETED');
    for (const answer of await Promise.all(answers)) expect(answer.status).to.equal(200);
  });

  it('subscribes and reads again when a new leader comes', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const seq = await api.seqOf('a');
    const answer = api.get('/tasks/a?wait=60s');
    await eventually(() => Promise.resolve(api.feed.watched.has(seq)));
    await api.end('a', 'COMPLETED');
    api.feed.sayTerm();
    expect((await answer).status).to.equal(200);
    expect(api.feed.calls).to.deep.equal([`watch ${String(seq)}`, `watch ${String(seq)}`]);
  });

  it('refuses a time that is none or too long', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    for (const wait of ['', 'soon', '-1', '301s', '6m', '1h', '300001']) {
      const answer = await api.get(`/tasks/a?wait=${wait}`);
      expect(answer.status, wait).to.equal(400);
      expect(pointersOf(answer)).to.deep.equal(['?wait']);
    }
    expect((await api.get('/tasks/none?wait=1s')).status).to.equal(404);
  });

  it('forgets a client that left', async () => {
    await api.post('/tasks', { id: 'a', type: 'noop' });
    const leaving = new AbortController();
    const answer = fetch(`${api.url}/tasks/a?wait=60s`, { signal: leaving.signal });
    await eventually(() => Promise.resolve(api.feed.watched.size === 1));
    leaving.abort();
    await answer.catch(() => undefined);
    await eventually(() => Promise.resolve(api.feed.watched.size === 0));
  });
});

/** Where the poll never finds anything, so that only the feed can end a wait. */
describe('a waiter that hears of an end by the feed alone', () => {
  function setup() {
    const feed = new FakeFeed();
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const tasks = { endedMany: () => Promise.resolve([]) };
    const clock = new FakeClock();
    const waiter = new Waiter({ clock, feed, tasks, log });
    return { clock, feed, waiter };
  }
  const signal = new AbortController().signal;

  it('reads again when the feed says that its task ended', async () => {
    const { feed, waiter } = setup();
    let ended = false;
    const read = (): Promise<boolean> => Promise.resolve(ended);
    const answer = waiter.until(5, 60_000, signal, read, (value) => value);
    await eventually(() => Promise.resolve(feed.watched.has(5)));
    await read();
    ended = true;
    feed.sayEnded([4, 5]);
    expect(await answer).to.equal(true);
    waiter.stop();
  });

  it('does not miss an end that is told while it reads', async () => {
    const { clock, feed, waiter } = setup();
    let reads = 0;
    const read = (): Promise<boolean> => {
      reads += 1;
      // The row was read as unfinished, and then the task ended.
      if (reads === 1) feed.sayEnded([5]);
      return Promise.resolve(reads > 1);
    };
    const answer = waiter.until(5, 60_000, signal, read, (value) => value);
    // Its time is over only on a clock that stands still here.
    await clock.advance(0);
    expect(reads).to.equal(2);
    expect(await answer).to.equal(true);
    expect(feed.watched.size).to.equal(0);
    expect(waiter.count).to.equal(0);
    waiter.stop();
  });
});
