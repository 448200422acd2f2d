import { expect } from 'chai';
import { connect, isA } from './live-support.ts';
import type { Seen } from './live-support.ts';
import { eventually, startApi } from './support.ts';
import type { Api, Body } from './support.ts';

/**
 * Goal: what a leader says shows at once, and is corrected by what PostgreSQL says.
 * Method: the news is said by the test, before or instead of what it says being true in the database.
 */
const RUNNING = 5;

describe('news of a leader, in the live protocol', () => {
  let api: Api;
  let client: Seen;
  beforeEach(async () => {
    api = await startApi();
    api.feed.isLinked = true;
    client = connect(api);
    await client.hear('hello', ({ type }) => type === 'hello');
  });
  afterEach(async () => {
    client.socket.terminate();
    await api.close();
  });

  const watch = async (sub: string, to: object): Promise<Body> => {
    client.say({ type: 'subscribe', sub, to });
    return client.hear(`a snapshot of ${sub}`, isA('snapshot', sub));
  };
  const followed = async (...ids: string[]): Promise<number[]> => {
    const seqs = await Promise.all(ids.map((id) => api.seqOf(id)));
    await eventually(() => {
      const asked = new Set(api.feed.follows.flatMap((follow) => follow.seqs));
      return Promise.resolve(seqs.every((seq) => asked.has(seq)));
    });
    return seqs;
  };
  const heard = (text: string): Promise<Body> =>
    client.hear(text, (message) => JSON.stringify(message).includes(text));

  it('moves a row forward before the database was read, and reads it then', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await api.post('/tasks', { id: 'two', type: 'noop' });
    const nodeId = await api.lease('two');
    await watch('n', { view: 'nodes' });
    await watch('a', { view: 'tasks' });
    const [one = 0] = await followed('one');
    // The database knows nothing of it: the row moves by the news, and back when it was read.
    api.feed.sayNews({ seqs: [one], changedTo: [RUNNING], nodeIds: [nodeId] });
    const told = await heard('"id":"one","status":"RUNNING"');
    expect((told['rows'] as Body[])[0]).to.include({ node: 'node-7', attempt: 1 });
    await client.hear('the truth', ({ type, rows }) => {
      const [row] = (rows ?? []) as Body[];
      return type === 'delta' && row?.['id'] === 'one' && row['status'] === 'QUEUED';
    });
  });

  it('reads what news was about, also where it says nothing else', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await watch('a', { view: 'tasks' });
    const [one = 0] = await followed('one');
    await api.end('one', 'FAILED');
    api.feed.sayNews({ seqs: [one], changedTo: [0], nodeIds: [0] });
    const { rows } = await heard('"status":"FAILED"');
    expect((rows as Body[])[0]?.['finished_at']).to.be.a('string');
  });

  it('takes a row out of a view whose filter it has left', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await watch('a', { view: 'tasks', status: 'QUEUED' });
    const [one = 0] = await followed('one');
    api.feed.sayNews({ seqs: [one], changedTo: [RUNNING], nodeIds: [0] });
    expect((await client.hear('it left', isA('delta')))['order']).to.deep.equal([]);
  });

  it('follows the counts of a workflow by its tasks, and reads its end', async () => {
    const tasks = [
      { id: 'a', type: 'noop' },
      { id: 'b', type: 'noop' },
    ];
    await api.post('/workflows', { id: 'w', tasks });
    await watch('a', { view: 'workflow', id: 'w' });
    const [a = 0, b = 0] = await followed('w/a', 'w/b');
    await api.end('w/a', 'COMPLETED');
    api.feed.sayNews({ seqs: [a], changedTo: [1], nodeIds: [0] });
    const { fields } = await client.hear('one is done', isA('delta'));
    expect((fields as Body)['counts']).to.include({ QUEUED: 1, COMPLETED: 1 });
    await api.end('w/b', 'COMPLETED');
    api.feed.sayNews({ seqs: [b], changedTo: [1], nodeIds: [0] });
    await client.hear(
      'its end',
      ({ fields: said = {} }) => (said as Body)['status'] === 'COMPLETED',
    );
  });

  it('shows the counts of the leader beside what had ended before', async () => {
    for (const id of ['one', 'two']) await api.post('/tasks', { id, type: 'noop' });
    await api.end('one', 'COMPLETED');
    await watch('o', { view: 'overview' });
    api.feed.sayNews({ ended: [40, 0, 0, 0], queued: 1 });
    await eventually(async () => {
      // A read after the first news makes the base; then the news counts on from it.
      api.feed.sayNews({ ended: [50, 0, 0, 0], queued: 7, holderIds: [1], held: [3] });
      await new Promise((resolve) => setTimeout(resolve, 20));
      return client.messages.some(({ fields }) =>
        JSON.stringify(fields ?? {}).includes('"QUEUED":7,"RUNNING":3,"COMPLETED":'),
      );
    });
  });

  it('draws what ended on which node, and how long tasks waited and ran', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await api.lease('one');
    const seq = await api.seqOf('one');
    await watch('n', { view: 'nodes' });
    await watch('o', { view: 'overview' });
    await api.end('one', 'COMPLETED');
    await api.sql.query(
      `update skein.task set started_at = finished_at - interval '1 s',
        node_id = (select node_id from skein.node) where seq = $1`,
      [seq],
    );
    api.feed.sayNews({ endedSeqs: [seq], readyMs: [4, 8], runMs: [1000] });
    const { fields } = await client.hear('an end', ({ fields: said = {} }) => {
      return ((said as Body)['ended'] as Body[] | undefined)?.[0]?.['id'] === 'one';
    });
    expect((fields as { ended: Body[] }).ended[0]).to.include({ node: 'node-7', type: 'noop' });
    await client.hear('waits and runs', ({ fields: said = {} }) => {
      const point = (said as Body)['point'] as readonly number[] | undefined;
      return JSON.stringify(point?.slice(7)) === '[8,8,1000,1000]';
    });
    client.say({ type: 'unsubscribe', sub: 'n' });
    const { fields: anew } = await watch('m', { view: 'nodes' });
    expect((anew as { recent: Body[] }).recent).to.have.length(1);
  });

  it('shows tasks that came new as soon as the leader has them', async () => {
    await watch('a', { view: 'tasks' });
    await eventually(() => Promise.resolve(api.feed.follows.length > 0));
    api.feed.sayNews({ lastSeq: 0 });
    await api.post('/tasks', { id: 'new', type: 'noop' });
    api.feed.sayNews({ lastSeq: await api.seqOf('new') });
    await heard('"id":"new"');
  });

  it('asks a new leader anew, and nobody when nobody watches', async () => {
    await api.post('/tasks', { id: 'one', type: 'noop' });
    await watch('a', { view: 'tasks' });
    const seqs = await followed('one');
    expect(api.feed.follows[0]).to.include({ isOn: true, isAnew: true });
    api.feed.follows.length = 0;
    api.feed.sayTerm();
    await eventually(() => Promise.resolve(api.feed.follows.length > 0));
    expect(api.feed.follows[0]).to.deep.equal({ isOn: true, isAnew: true, seqs, dropped: [] });
    client.socket.terminate();
    await eventually(() => Promise.resolve(api.feed.follows.at(-1)?.isOn === false));
  });
});
