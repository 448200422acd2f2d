import { expect } from 'chai';
import { stripVTControlCharacters } from 'node:util';
import type { Clock } from '../../node/base/clock.ts';
import { systemClock } from '../../node/base/clock.ts';
import {
  COUNTS,
  deadUrl,
  notFound,
  ok,
  skein,
  startScripted,
  taskBody as task,
} from './support.ts';
import type { Reply, Request, ScriptedNode } from './support.ts';

/**
 * Goal: what a command prints where, and with what it ends. Method: the program in this process, over
 * real HTTP to nodes that follow a script.
 */
const noPauses: Clock = { ...systemClock, sleep: () => Promise.resolve() };

describe('the command line', () => {
  const nodes: ScriptedNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.stop()));
  });
  async function node(reply: (request: Request, count: number) => Reply): Promise<ScriptedNode> {
    const started = await startScripted(reply);
    nodes.push(started);
    return started;
  }

  describe('usage', () => {
    for (const [what, args, message] of [
      ['an unknown command', ['frob'], "skein: unknown command 'frob'"],
      ['an unknown flag', ['list', '--frob'], "skein: unknown option '--frob'"],
      ['a missing argument', ['get'], "skein: missing required argument 'id'"],
      ['a limit that is none', ['list', '--limit', '0'], 'whole number above 0'],
      ['all, and yet some', ['cancel', '--all', '--type', 'a'], 'cancel: either --all or flags'],
      ['a status that is none', ['list', '--status', 'DONE'], 'QUEUED, RUNNING, COMPLETED'],
      ['a time that is none', ['get', 'x', '--wait', 'soon'], 'such as 500ms, 30s or 2m'],
      [
        'a priority out of range',
        ['submit', '-', '--priority', '0'],
        'from 1 (the most urgent) to 100',
      ],
      ['a time scale that is none', ['submit', '-', '--time-scale', '-2'], 'a number above 0'],
      [
        'a url that is none',
        ['list', '--url', 'http://a b'],
        '--url: http://a b is no url of a node',
      ],
      ['a file that is not there', ['submit', 'test/no-such-file'], 'there is no such file'],
      ['a folder', ['submit', 'test'], 'is a folder'],
    ] as const) {
      it(`refuses ${what} with 2, on stderr`, async () => {
        const ran = await skein(args);
        expect(ran.code).to.equal(2);
        expect(ran.out).to.equal('');
        expect(ran.err).to.include(message);
      });
    }

    it('shows help on stdout with 0 when it is asked for, else on stderr with 2', async () => {
      const asked = await skein(['--help']);
      expect(asked).to.include({ code: 0, err: '' });
      const names =
        'node submit get list watch explain cancel retry types pause resume limit schedule cluster ' +
        'attempts dependents edit workflows events';
      for (const name of names.split(' ')) {
        expect(asked.out).to.match(new RegExp(`^  ${name} `, 'm'));
      }
      expect(await skein([])).to.include({ code: 2, out: '' });
      expect(await skein(['--version'])).to.include({ code: 0, out: '1.2.3\n' });
    });

    it('says in its help what the numbers of a priority mean', async () => {
      expect((await skein(['submit', '--help'])).out).to.include(
        '1 is the most urgent, 100 the least',
      );
    });

    it('takes the url from SKEIN_URL, unless a flag says otherwise', async () => {
      const { url, requests } = await node(() => ok([]));
      const env = { SKEIN_URL: `${await deadUrl()}, ${url.replace('http://', '')}` };
      expect(await skein(['list'], { env })).to.include({ code: 0 });
      expect(requests).to.have.lengthOf(1);
      const dead = await deadUrl();
      const ran = await skein(['list', '--url', dead], { env });
      expect(ran).to.include({ code: 1, err: `skein: cannot reach ${dead} (ECONNREFUSED)\n` });
    });
  });

  describe('node', () => {
    it('hands over the flags of the table, and ends as the node ends', async () => {
      const seen: unknown[] = [];
      const runNode = (flags: unknown): Promise<number> => {
        seen.push(flags);
        return Promise.resolve(7);
      };
      const args = ['--database-url', 'postgres://x', '--http-port', '8080', '--simulate'];
      expect(await skein(['node', ...args], { runNode })).to.include({ code: 7 });
      expect(seen).to.deep.equal([
        { databaseUrl: 'postgres://x', httpPort: '8080', simulate: true },
      ]);
    });

    it('lists every setting in its help', async () => {
      const { out } = await skein(['node', '--help']);
      expect(out).to.include('--database-url <URL>').and.to.include('SKEIN_DATABASE_URL');
      expect(out).to.match(/--simulate {2,}/);
    });
  });

  describe('get', () => {
    it('shows a task, or else the workflow of that id', async () => {
      const { url } = await node(({ path }) =>
        path === '/workflows/w' ? ok({ id: 'w', status: 'RUNNING', counts: COUNTS }) : notFound,
      );
      const ran = await skein(['get', 'w', '--url', url, '--json']);
      expect(ran.code).to.equal(0);
      expect(JSON.parse(ran.out)).to.include({ id: 'w', status: 'RUNNING' });
      expect(await skein(['get', 'x', '--url', url])).to.deep.equal({
        code: 1,
        out: '',
        err: 'skein: there is no task and no workflow x\n',
      });
      expect(await skein(['get', 'w', '--wait', '1s', '--url', url])).to.include({ code: 2 });
    });

    it('with --wait ends by the outcome, and with 1 when time is up', async () => {
      for (const [status, code] of [
        ['COMPLETED', 0],
        ['CANCELLED', 1],
        ['RUNNING', 1],
      ] as const) {
        const { url } = await node(() => ({
          status: status === 'RUNNING' ? 202 : 200,
          body: task('a', status),
        }));
        const ran = await skein(['get', 'a', '--wait', '10ms', '--url', url]);
        expect(ran.code, status).to.equal(code);
        expect(ran.out).to.match(new RegExp(`^status +${status}$`, 'm'));
        expect(ran.out).to.match(/^priority +50 {2}\(1 is the most urgent/m);
        expect(ran.err).to.equal(status === 'RUNNING' ? 'a has not ended yet\n' : '');
      }
    });
  });

  describe('list', () => {
    const page = [
      task('a', 'COMPLETED'),
      task('much-longer', 'RUNNING', { node: 'n2', finished_at: null }),
    ];

    it('is an aligned table for people', async () => {
      const { url, requests } = await node(() => ok(page));
      const args = ['list', '--status', 'running', '--type', 't', '--tag', 'x', '--workflow', 'w'];
      const { out } = await skein([...args, '--limit', '2', '--url', url]);
      expect(out.split('\n')).to.deep.equal([
        'STATUS     TYPE  PRIORITY (1 FIRST)  ATTEMPT  NODE    CREATED                      RAN  ID',
        'COMPLETED  noop                  50      1/3  node-1  2026-01-01T00:00:00.000Z  500 ms  a',
        'RUNNING    noop                  50      1/3  n2      2026-01-01T00:00:00.000Z       –  much-longer',
        '',
      ]);
      expect(requests[0]?.path).to.equal('/tasks?status=RUNNING&type=t&workflow=w&tag=x&limit=2');
    });

    it('is coloured on a terminal, and not where NO_COLOR is set', async () => {
      const { url } = await node(() => ok(page));
      const args = ['list', '--url', url];
      const bare = await skein(args);
      const coloured = await skein(args, { isTTY: true });
      expect(coloured.out).to.include('\u001b[');
      expect(stripVTControlCharacters(coloured.out)).to.equal(bare.out);
      for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
        expect((await skein(args, { isTTY: true, env })).out).to.equal(bare.out);
      }
    });

    it('is one JSON value a line for programs', async () => {
      const { url } = await node(() => ok(page));
      const { out, err } = await skein(['list', '--json', '--url', url]);
      const lines = out
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { id: string });
      expect(lines.map(({ id }) => id)).to.deep.equal(['a', 'much-longer']);
      expect(err).to.equal('');
    });

    it('ends at the limit, and with --all at the end', async () => {
      const { url } = await node(({ path }) => ({
        status: 200,
        body: page,
        ...(path.includes('cursor') ? {} : { next: '/tasks?cursor=5' }),
      }));
      const count = async (...args: readonly string[]): Promise<number> => {
        const { out } = await skein(['list', '--json', '--url', url, ...args]);
        return out.trimEnd().split('\n').length;
      };
      expect([await count('--limit', '3'), await count('--all')]).to.deep.equal([3, 4]);
    });

    it('says so when there is none', async () => {
      const { url } = await node(() => ok([]));
      const ran = await skein(['list', '--url', url]);
      expect(ran).to.deep.equal({ code: 0, out: '', err: 'There are no such tasks.\n' });
    });
  });

  describe('watch', () => {
    const workflow = (status: string, counts: object): Reply =>
      ok({
        ...{ id: 'w', name: 'nightly', status, counts: { ...COUNTS, ...counts } },
        ...{ created_at: '2026-01-01T00:00:00.000Z', finished_at: '2026-01-01T00:00:04.310Z' },
      });

    /** A workflow that ends after its second look; the first request asks for a task of its id. */
    const script = ({ path }: Request, count: number): Reply => {
      if (!path.startsWith('/workflows')) return notFound;
      return count < 4
        ? workflow('RUNNING', { QUEUED: 2 })
        : workflow('COMPLETED', { COMPLETED: 2 });
    };

    it('draws a bar on a terminal, and prints the outcome', async () => {
      const { url } = await node(script);
      const ran = await skein(['watch', 'w', '--url', url], { isTTY: true, clock: noPauses });
      expect(ran.code).to.equal(0);
      expect(stripVTControlCharacters(ran.out)).to.equal('COMPLETED  2 tasks  in 4.31 s  w\n');
      const drawn = ran.err.split('\r\u001b[2K').map(stripVTControlCharacters);
      expect(drawn[1]).to.match(/^nightly ╌+ 0\/2 0% · 2 queued · 0:00$/);
      expect(drawn.at(-1)).to.match(/^nightly ━+ 2\/2 100% · 0:00 · 0:00 left\n$/);
    });

    it('prints plain lines elsewhere, and nothing but the outcome with --json', async () => {
      const { url } = await node(script);
      const plain = await skein(['watch', 'w', '--url', url], { clock: noPauses });
      expect(plain.err).to.match(/^nightly 0\/2 0% · 2 queued · 0:00\n/);
      expect(plain.err).not.to.include('\u001b');
      const asJson = await skein(['watch', 'w', '--json', '--url', url], { clock: noPauses });
      expect(asJson.err).to.equal('');
      expect(JSON.parse(asJson.out)).to.include({ id: 'w', status: 'COMPLETED' });
    });

    it('ends with 1 when the workflow did not complete', async () => {
      const { url } = await node(({ path }) =>
        path.startsWith('/workflows')
          ? workflow('FAILED', { COMPLETED: 1, FAILED: 1, SKIPPED: 2 })
          : notFound,
      );
      const ran = await skein(['watch', 'w', '--url', url]);
      const out = 'FAILED  4 tasks  1 completed  1 failed  2 skipped  in 4.31 s  w\n';
      expect(ran).to.include({ code: 1, out });
    });

    it('goes on when the cluster is away for a while, and says so once', async () => {
      const { url } = await node((request, count) => {
        if (count > 3 && count < 9) return 'drop';
        return script(request, count);
      });
      const ran = await skein(['watch', 'w', '--url', url], { clock: noPauses });
      expect(ran.code).to.equal(0);
      expect(ran.err.match(/trying again/g)).to.have.lengthOf(1);
    });
  });

  it('cancels a task, or else the workflow of that id; and retries a task', async () => {
    const { url, requests } = await node(({ path }) =>
      path === '/tasks/w/cancel' ? notFound : { status: 202, body: { id: 'w', status: 'RUNNING' } },
    );
    expect(await skein(['cancel', 'w', '--url', url])).to.include({
      code: 0,
      out: 'w: its cancel is accepted\n',
    });
    expect(await skein(['retry', 'w', '--url', url, '--json'])).to.include({
      code: 0,
      out: '{"id":"w","status":"RUNNING"}\n',
    });
    expect(requests.map(({ method, path }) => `${method} ${path}`)).to.deep.equal([
      'POST /tasks/w/cancel',
      'POST /workflows/w/cancel',
      'POST /tasks/w/retry',
    ]);
  });

  it('cancels and retries what flags name, and asks for one or the other', async () => {
    const { url, requests } = await node(() => ({ status: 202, body: { count: 3 } }));
    const filter = ['--type', 'work', '--tag', 'red', '--workflow', 'w', '--status', 'queued'];
    expect(await skein(['cancel', ...filter, '--url', url])).to.include({
      code: 0,
      out: '3 tasks: the cancel is accepted\n',
    });
    expect(await skein(['retry', '--all', '--dry-run', '--url', url])).to.include({
      out: '3 tasks to retry; nothing was asked\n',
    });
    expect(requests.map(({ path, body }) => [path, JSON.parse(body) as unknown])).to.deep.equal([
      ['/tasks/cancel', { type: 'work', tag: 'red', workflow: 'w', status: 'QUEUED' }],
      ['/tasks/retry', { all: true, dry_run: true }],
    ]);
    for (const wrong of [['id', '--all'], [], ['--dry-run']]) {
      expect((await skein(['cancel', ...wrong, '--url', url])).code).to.equal(2);
    }
    expect(requests).to.have.length(2);
  });

  it('shows the cluster: the leader, the slots of the living, the counts', async () => {
    const one = {
      ...{ name: 'node-1', pid: 11, state: 'alive', is_leader: true, slots: 16, running: 3 },
      ...{ http_url: 'http://h:1', grpc_address: 'h:2', version: '0.1.0' },
    };
    const dead = { ...one, name: 'node-2', state: 'dead', is_leader: false, running: 0 };
    const { url } = await node(() =>
      ok({ term: 4, leader: 'node-1', nodes: [one, dead], counts: { ...COUNTS, RUNNING: 3 } }),
    );
    const { out } = await skein(['cluster', '--url', url]);
    const lines = out.split('\n');
    expect(lines[0]).to.equal('leader node-1 · term 4 · 1 node alive · 3 of 16 slots used');
    expect(lines[3]).to.match(/^node-1 \(leader\) {2}alive +16 +3 +11 /);
    expect(lines[6]).to.include('QUEUED 0 · RUNNING 3');
  });

  it('lets our own bugs through, with their stack', async () => {
    const createClient = (): never => {
      throw new TypeError('a bug');
    };
    let thrown: unknown;
    await skein(['list'], { createClient }).catch((error: unknown) => {
      thrown = error;
    });
    expect(thrown).to.be.instanceOf(TypeError);
  });
});
