import { parseArgs } from 'node:util';
import { ConfigError, parseConfig } from '../node/config.ts';
import type { Config } from '../node/config.ts';

/** What `npm start` was asked for; everything that a node can be told is in `node`. */
export interface StartOptions {
  readonly nodes: number;
  /** One line of JSON on stdout instead of the first screen. */
  readonly json: boolean;
  /** Every log line on the terminal, not the notable ones alone. */
  readonly verbose: boolean;
  readonly node: Config;
}

/** Beneath the environment and the flags: what `skein node` alone has otherwise. */
const DEFAULTS = { SKEIN_HTTP_PORT: '8080', SKEIN_GRPC_PORT: '9090', SKEIN_SIMULATE: 'true' };

const NODES_MAX = 100;

const FLAGS = [
  ['nodes', 'N', 'how many nodes (3)'],
  ['http-port', 'PORT', 'REST of the first node; each further one has the next (8080; 0: any)'],
  ['grpc-port', 'PORT', 'gRPC of the first node; each further one has the next (9090; 0: any)'],
  ['data-dir', 'DIR', 'database and logs; survives restarts (.skein)'],
  ['slots', 'N', 'tasks that run at the same time on each node (3)'],
  ['handlers', 'DIR', 'your own task types: one module a type (none)'],
  ['database-url', 'URL', 'a PostgreSQL of your own, 16 or newer (the embedded one)'],
  ['http-allow', 'LIST', 'hosts, addresses and CIDR ranges inside that http tasks may reach'],
  ['allow-shell', '', 'run shell tasks: any command, as the user of the nodes'],
  ['no-simulate', '', 'types without a handler wait instead of sleeping their duration_ms'],
  ['json', '', 'print one line of JSON when the cluster is ready, and nothing else on stdout'],
  ['verbose', '', 'every log line on the terminal'],
  ['help', '', 'this text'],
] as const;

export const HELP = [
  'npm start -- [flags]: a cluster on this machine, every node a process of its own',
  '',
  ...FLAGS.map(([flag, argument, what]) => `  ${`--${flag} ${argument}`.padEnd(22)}${what}`),
  '',
  'All settings of `npx skein node --help` work as SKEIN_* variables, and DATABASE_URL does.',
].join('\n');

/** Throws a ConfigError that names every fault. */
export function parseStartOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): StartOptions {
  const values = readFlags(args);
  const faults: string[] = [];
  const nodes = Number(values['nodes'] ?? '3');
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MAX) {
    faults.push(`--nodes: must be a whole number from 1 to ${String(NODES_MAX)}`);
  }
  let node: Config | undefined;
  try {
    node = parseConfig({
      env: { ...DEFAULTS, ...withoutEmpty(env) },
      flags: {
        httpPort: values['http-port'],
        grpcPort: values['grpc-port'],
        dataDir: values['data-dir'],
        slots: values['slots'],
        databaseUrl: values['database-url'],
        httpAllow: values['http-allow'],
        allowShell: values['allow-shell'],
        handlers: values['handlers'],
        simulate: values['no-simulate'] === true ? false : undefined,
      },
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    faults.push(...error.faults);
  }
  if (node === undefined || faults.length > 0) throw new ConfigError(faults);
  return {
    nodes,
    json: values['json'] === true,
    verbose: values['verbose'] === true,
    node,
  };
}

function readFlags(args: readonly string[]): Readonly<Record<string, unknown>> {
  const options = Object.fromEntries(
    FLAGS.map(([flag, argument]) => [flag, { type: argument === '' ? 'boolean' : 'string' }]),
  ) as Record<string, { type: 'boolean' | 'string' }>;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: false }).values;
  } catch (error) {
    throw new ConfigError([
      `${error instanceof Error ? error.message : String(error)} (try --help)`,
    ]);
  }
}

/** An empty variable counts as none, and must not hide a default. */
function withoutEmpty(
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => (value ?? '') !== ''));
}
