import { expect } from 'chai';
import { startCluster } from '../support/cluster.ts';
import type { TestCluster } from '../support/cluster.ts';
import { deadUrl, ok, skein, startScripted } from './support.ts';
import type { Ran } from './support.ts';

/** Goal: schedules from the command line, stored to removed. Method: a real node; faults by a script. */
describe('the commands for schedules', () => {
  let cluster: TestCluster | undefined;
  let url = '';
  before(async () => {
    cluster = await startCluster({ nodes: 1 });
    url = cluster.nodes[0]?.url ?? '';
  });
  after(() => cluster?.stop());

  const schedule = (args: readonly string[], input = ''): Promise<Ran> =>
    skein(['schedule', ...args, '--url', url], { input });

  it('store one, show it, hold it, and remove it', async () => {
    const body = '{"cron":"0 3 1 1 *","timezone":"Europe/Berlin","task":{"type":"noop"}}';
    const stored = await schedule(['put', 'year', '-'], body);
    expect(stored.out).to.match(/^year: fires next at \d{4}-01-01T02:00:00\.000Z\n$/);
    const [titles, line] = (await schedule(['list'])).out.split('\n');
    expect(titles).to.match(/^WHEN +NEXT +LAST +STATUS +FIRED +NOT +ID +PROBLEM$/);
    expect(line).to.match(
      /^0 3 1 1 \* Europe\/Berlin {2}\d{4}-01-01T02\S+ +– +– +0 +0 {2}year +–$/,
    );
    expect((await schedule(['get', 'year'])).out).to.match(/^cron +0 3 1 1 \*$/m);
    expect((await schedule(['pause', 'year'])).out).to.equal('year: paused\n');
    expect((await schedule(['list'])).out).to.match(/^0 3 1 1 \* Europe\/Berlin {2}paused /m);
    expect((await schedule(['resume', 'year'])).out).to.match(/^year: fires next at /);
    expect((await schedule(['delete', 'year'])).out).to.equal('year: removed\n');
    const gone = await schedule(['get', 'year']);
    expect(gone).to.include({ code: 1, err: 'skein: the schedule year does not exist\n' });
  });

  it('run one at once, and for a fire that is named', async () => {
    await schedule(['put', 'often', '-'], '{"every_ms":3600000,"task":{"type":"noop"}}');
    const { out } = await schedule(['run', 'often']);
    expect(out).to.match(/^often@\S+Z\n$/);
    expect((await skein(['get', out.trim(), '--wait', '20s', '--url', url])).code).to.equal(0);
    const named = ['run', 'often', '--at', '2026-01-31T03:00:00Z'];
    expect((await schedule(named)).out).to.equal('often@2026-01-31T03:00:00.000Z\n');
    const again = await schedule(named);
    expect(again.code).to.equal(1);
    expect(again.err).to.include('often@2026-01-31T03:00:00.000Z exists already');
  });

  it('say what is wrong, by its place', async () => {
    const refused = await schedule(['put', 's', '-'], '{"cron":"@never","task":{"type":"noop"}}');
    expect(refused.code).to.equal(1);
    expect(refused.err).to.include('#/cron: @never is no known nickname');
    expect(await schedule(['put', 's', '-'], '[]')).to.include({ code: 2 });
    expect((await schedule(['put', 's', '-'], '{')).err).to.equal('skein: stdin: is not JSON\n');
    expect((await schedule(['put', 's', 'test/no-such-file'])).code).to.equal(2);
  });

  it('take a run, or a removal, whose answer was lost for what it is', async () => {
    const node = await startScripted(({ method }, count) => {
      if (count % 2 === 1) return 'drop';
      const id = 's@2026-01-31T03:00:00.000Z';
      if (method === 'DELETE') return { status: 404, body: { code: 'not_found', detail: 'no' } };
      return { status: 409, body: { code: 'conflict', detail: 'it exists', existing: { id } } };
    });
    // The second url is the same node: another try.
    const urls = ['--url', node.url, '--url', node.url];
    const ran = await skein(['schedule', 'run', 's', ...urls]);
    expect(ran).to.include({ code: 0, out: 's@2026-01-31T03:00:00.000Z\n' });
    expect((await skein(['schedule', 'delete', 's', ...urls])).out).to.equal('s: removed\n');
    expect(node.requests[0]?.path).to.equal(node.requests[1]?.path);
    await node.stop();
  });

  it('go on with the next node', async () => {
    const node = await startScripted(() => ok([]));
    const urls = ['--url', await deadUrl(), '--url', node.url];
    expect((await skein(['schedule', 'list', ...urls])).code).to.equal(0);
    await node.stop();
  });
});
