import { expect } from 'chai';
import { firstScreenOf, jsonLineOf, notableLine } from '../../scripts/first-screen.ts';
import type { Started } from '../../scripts/first-screen.ts';

const STARTED: Started = {
  nodes: [1, 2].map((i) => ({
    name: `node-${String(i)}`,
    pid: 100 + i,
    httpUrl: `http://127.0.0.1:808${String(i)}`,
    grpcAddress: `127.0.0.1:909${String(i)}`,
  })),
  view: { term: 4, leader: 'node-2', nodes: [] },
  embedded: { version: '18.4', home: '/data/.skein/postgres' },
  dataDir: '/data/.skein',
  simulate: true,
  seconds: 2.04,
};

describe('the first screen', () => {
  it('says as JSON what the contract names, in one line', () => {
    const line = jsonLineOf(STARTED);
    expect(line).not.to.include('\n');
    expect(JSON.parse(line)).to.deep.equal({
      nodes: [
        {
          name: 'node-1',
          pid: 101,
          http_url: 'http://127.0.0.1:8081',
          grpc_address: '127.0.0.1:9091',
        },
        {
          name: 'node-2',
          pid: 102,
          http_url: 'http://127.0.0.1:8082',
          grpc_address: '127.0.0.1:9092',
        },
      ],
      leader: 'node-2',
      term: 4,
      database: 'embedded',
      data_dir: '/data/.skein',
    });
    expect(jsonLineOf({ ...STARTED, embedded: undefined })).to.include('"database":"external"');
  });

  it('names the leader, the process to kill and a command to try', () => {
    const screen = firstScreenOf(STARTED, false);
    expect(screen).to.include('2 nodes, leader node-2 (term 4), ready in 2.0 s');
    expect(screen).to.include('embedded PostgreSQL 18.4');
    expect(screen).to.include('kill -9 102 && sleep 1 && curl -s http://127.0.0.1:8081/cluster');
    expect(screen).to.include('"type":"data_processing"');
    expect(firstScreenOf({ ...STARTED, simulate: false }, false)).to.include('"type":"sleep"');
  });
});

describe('notableLine', () => {
  const line = (fields: Record<string, unknown>): string =>
    JSON.stringify({ timestamp: '2026-01-02T03:04:05.678Z', level: 'info', ...fields });

  it('shows what a node says in short, with its name in front', () => {
    const shown = (node: string): string | undefined =>
      notableLine('node-1', line({ message: 'A node joined.', node, node_id: 7, slots: 3 }), false);
    expect(shown('node-1')).to.equal('03:04:05.678 node-1  A node joined. slots=3');
    expect(shown('node-2')).to.equal('03:04:05.678 node-1  A node joined. node=node-2 slots=3');
  });

  it('shows of an error its message, and all of it with --verbose', () => {
    const warning = line({
      level: 'warn',
      message: 'slow',
      error: { message: 'late', stack: 'at' },
    });
    expect(notableLine('node-1', warning, false)).to.equal(
      '03:04:05.678 node-1  WARN slow error=late',
    );
    expect(notableLine('node-1', warning, true)).to.include('"stack":"at"');
  });

  it('marks warnings, and keeps debug lines for --verbose', () => {
    const warning = line({ level: 'warn', message: 'slow' });
    expect(notableLine('node-1', warning, false)).to.include('WARN slow');
    const debug = line({ level: 'debug', message: 'tick' });
    expect(notableLine('node-1', debug, false)).to.equal(undefined);
    expect(notableLine('node-1', debug, true)).to.include('tick');
  });

  it('shows what is no log line, without the power to move the cursor', () => {
    expect(notableLine('node-1', 'Error: \u001b[2Jboom', false)).to.equal(
      'node-1  Error: \\u001b[2Jboom',
    );
    expect(notableLine('node-1', '', false)).to.equal(undefined);
  });
});
