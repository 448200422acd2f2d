import { expect } from 'chai';
import path from 'node:path';
import { bulkEndpoints } from '../../node/api/bulk.ts';
import { clusterEndpoints } from '../../node/api/cluster.ts';
import type { Endpoint } from '../../node/api/endpoint.ts';
import { scheduleEndpoints } from '../../node/api/schedules.ts';
import { logEndpoints } from '../../node/api/logs.ts';
import { submitEndpoints } from '../../node/api/submit/submit.ts';
import { taskEndpoints } from '../../node/api/tasks.ts';
import { typeEndpoints } from '../../node/api/types.ts';
import { workflowEndpoints } from '../../node/api/workflows.ts';
import { SETTINGS } from '../../node/settings.ts';
import { TRANSITIONS, TRIGGER_RULE_NAMES } from '../../node/core/task.ts';
import { LAN } from '../../node/core/timings.ts';
import { Metrics } from '../../node/observe/metrics.ts';
import { firstScreenOf } from '../../scripts/first-screen.ts';
import { blocksOf, brokenLinks, markdownFiles, readText, rowOf, tableBelow } from './markdown.ts';
import { patternOf, SHOWN } from './shown-cluster.ts';

/**
 * Goal: what the README says is what the code does. Method: its tables and its first screen are compared
 * with the code they speak of; its consoles are run by test/full/docs.
 */
const README = readText('README.md');

describe('the README says what the code says', () => {
  it('on the first screen', () => {
    const node = (at: number) => ({
      name: `node-${String(at + 1)}`,
      pid: Number(SHOWN.pids[at]),
      httpUrl: `http://127.0.0.1:${SHOWN.httpPorts[at] ?? ''}`,
      grpcAddress: `127.0.0.1:${SHOWN.grpcPorts[at] ?? ''}`,
    });
    const dataDir = path.resolve(SHOWN.dataDir);
    const screen = firstScreenOf(
      {
        nodes: [node(0), node(1), node(2)],
        view: { term: 1, leader: 'node-3', nodes: [] },
        embedded: { version: '18.4', home: path.join(dataDir, 'postgres') },
        dataDir,
        simulate: true,
        seconds: 4.4,
      },
      false,
    );
    const shown = blocksOf(README).find(({ lines }) => lines[0]?.startsWith('  Cluster') === true);
    expect(`${screen}\n`).to.match(patternOf(shown?.lines.join('\n') ?? ''));
  });

  it('of the settings', () => {
    const rows = SETTINGS.map(({ flag, argument, env, default: byDefault, what }) => [
      code(`${flag} ${argument}`.trim()),
      env.map(code).join(', '),
      byDefault.includes(' ') ? byDefault : code(byDefault),
      what,
    ]);
    expectTable('Settings', rows);
  });

  it('of the metrics', async () => {
    expectTable('Metrics and logs', await metricRows());
  });

  it('of the calls', () => {
    const endpoints: readonly Endpoint[] = [
      ...submitEndpoints({} as never),
      ...bulkEndpoints({} as never),
      ...taskEndpoints({} as never),
      ...logEndpoints({} as never),
      ...workflowEndpoints({} as never),
      ...typeEndpoints({} as never),
      ...scheduleEndpoints({} as never),
      ...clusterEndpoints({} as never),
    ];
    const calls = endpoints.map(
      ({ method, path: route }) => `\`${method} ${route.replace(/:(\w+)/g, '{$1}')}\``,
    );
    const shown = tableBelow(README, 'REST').map(([call]) => call);
    expect(shown).to.have.members(calls);
  });

  it('of the timings', () => {
    const shown = tableBelow(README, 'Timings').flatMap(([names = '', values = '']) => {
      const each = values.split(', ');
      return names.split(', ').map((name, at) => [name.slice(1, -1), Number(each[at])]);
    });
    expect(Object.fromEntries(shown)).to.deep.equal(LAN);
  });

  it('of statuses and trigger rules', () => {
    const rules = tableBelow(README, 'What to know about tasks').map(([rule = '']) =>
      rule.split('`').at(1),
    );
    expect(rules).to.deep.equal(TRIGGER_RULE_NAMES);
    const diagram = blocksOf(README).find(({ lines }) => lines[0] === 'stateDiagram-v2');
    const shown = diagram?.lines.slice(2).map((line) => line.trim());
    const transitions = Object.entries(TRANSITIONS).flatMap(([from, ends]) =>
      ends.map((to) => `${from} --> ${to}`),
    );
    expect(shown).to.have.members(transitions);
  });
});

describe('the documents', () => {
  for (const file of markdownFiles()) {
    it(`${file} links to what exists`, () => {
      expect(brokenLinks(file, readText(file))).to.deep.equal([]);
    });
  }

  it('are seen where a link leads nowhere', () => {
    const text = '# Here\n[a](#here) [b](node/node.ts) [c](#there) [d](node/no.ts) [e](LICENSE#no)';
    expect(brokenLinks('README.md', text)).to.have.length(3);
  });

  it('the changelog says what is not released yet', () => {
    expect(readText('CHANGELOG.md')).to.match(/^## \[Unreleased\]\n\n### Added\n\n- /m);
  });
});

/** Fails with the rows to put there. */
function expectTable(heading: string, rows: readonly (readonly string[])[]): void {
  const shown = tableBelow(README, heading).map(rowOf).join('\n');
  expect(shown, `the table below "${heading}"`).to.equal(rows.map(rowOf).join('\n'));
}

function code(text: string): string {
  return `\`${text}\``;
}

/** Name, labels and help of every metric of ours, as a scrape has them when each was used once. */
async function metricRows(): Promise<readonly (readonly string[])[]> {
  const metrics = new Metrics({ processMetrics: false });
  metrics.tasksFinished([{ type: 'noop', status: 'COMPLETED', runSeconds: 0, queueSeconds: 0 }]);
  metrics.leaderGauges({
    queued: 0,
    running: 0,
    ended: undefined,
    ready: 0,
    oldestReadySeconds: 0,
    leases: 0,
    nodes: { alive: 1, draining: 0 },
  });
  metrics.historyRemoved('task', 1);
  metrics.schedulesFired({ fired: 1, skipped: 0, missed: 0, refused: 0 });
  metrics.committed('settle', 1, 0);
  metrics.heartbeatAnswered('lock', 0);
  metrics.httpRequest('GET', '/tasks', 200, 0);
  const { body } = await metrics.render();
  return [...body.matchAll(/^# HELP (\S+) (.+)$/gm)].map(([, name = '', help = '']) => {
    const sample = new RegExp(`^${name}(?:_bucket)?\\{(.+)\\}`, 'm').exec(body)?.[1] ?? '';
    const labels = [...sample.matchAll(/(\w+)="/g)].map(([, label = '']) => label);
    return [
      code(name),
      labels
        .filter((label) => label !== 'le')
        .map(code)
        .join(', '),
      help,
    ];
  });
}
