/** The one list of the settings of a node: help, README and parser (config.ts) are made of it. */

/** One line of `skein node --help` and of the table in the README. */
export interface Setting {
  readonly key: string;
  readonly flag: string;
  /** What stands for the value in the help; empty for a switch. */
  readonly argument: string;
  /** Later names lose against earlier ones. */
  readonly env: readonly string[];
  /** As text, for people. */
  readonly default: string;
  readonly what: string;
}

function setting(
  key: string,
  flag: string,
  argument: string,
  byDefault: string,
  what: string,
  ...moreEnv: readonly string[]
): Setting {
  const env = `SKEIN_${flag.slice(2).replaceAll('-', '_').toUpperCase()}`;
  return { key, flag, argument, env: [env, ...moreEnv], default: byDefault, what };
}

export const SETTINGS: readonly Setting[] = [
  setting(
    'databaseUrl',
    '--database-url',
    'URL',
    'the embedded one',
    'PostgreSQL 16 or newer, postgres://user:password@host:port/database',
    'DATABASE_URL',
  ),
  setting('dataDir', '--data-dir', 'DIR', '.skein', 'where the embedded PostgreSQL keeps its data'),
  setting('name', '--name', 'NAME', '<host>-<pid>', 'the name of this node, unique in the cluster'),
  setting('httpHost', '--http-host', 'HOST', '127.0.0.1', 'address on which REST is served'),
  setting('httpPort', '--http-port', 'PORT', '0', 'its port; 0 for any free one'),
  setting(
    'clusterDir',
    '--cluster-dir',
    'DIR',
    'none',
    'ca.pem, node.pem, node-key.pem: streams between nodes by mTLS; read anew',
  ),
  setting(
    'peerSecret',
    '--peer-secret',
    'TEXT',
    'of the embedded database',
    'what nodes show each other where there is no --cluster-dir; the same on every node',
  ),
  setting('tlsCert', '--tls-cert', 'FILE', 'none', 'certificate chain of REST, PEM; read anew'),
  setting('tlsKey', '--tls-key', 'FILE', 'none', 'its key, PEM'),
  setting(
    'behindTlsProxy',
    '--behind-tls-proxy',
    '',
    'off',
    'a proxy in front ends TLS: REST is plain, and needs keys',
  ),
  setting(
    'insecure',
    '--i-know-this-is-insecure',
    '',
    'off',
    'serve other machines, and speak to nodes there, without TLS and keys',
  ),
  setting('requireKeys', '--require-keys', '', 'off', 'ask for a key on loopback too'),
  setting(
    'allowedHosts',
    '--allowed-hosts',
    'LIST',
    'its own names',
    'more names by which clients may call this node, with commas',
  ),
  setting(
    'rateLimit',
    '--rate-limit',
    'N',
    '500',
    'requests a second of one address that is not loopback; 0 for no limit',
  ),
  setting('grpcHost', '--grpc-host', 'HOST', '127.0.0.1', 'address on which peers are served'),
  setting('grpcPort', '--grpc-port', 'PORT', '0', 'its port; 0 for any free one'),
  setting(
    'advertiseHttpUrl',
    '--advertise-http-url',
    'URL',
    'http://<host>:<port>',
    'how clients reach this node, where that differs',
  ),
  setting(
    'advertiseGrpcAddress',
    '--advertise-grpc-address',
    'HOST:PORT',
    '<host>:<port>',
    'how other nodes reach this one, where that differs',
  ),
  setting('slots', '--slots', 'N', '3', 'tasks that may run here at the same time'),
  setting('simulate', '--simulate', '', 'off', 'let types without a handler sleep duration_ms'),
  setting(
    'httpAllow',
    '--http-allow',
    'LIST',
    'none',
    'hosts, addresses and CIDR ranges inside that http tasks may reach, with commas',
  ),
  setting('allowShell', '--allow-shell', '', 'off', 'run shell tasks: any command, as this user'),
  setting(
    'labels',
    '--labels',
    'KEY=VALUE,…',
    'none',
    'what this node has; a task that asks for labels runs where they all are',
  ),
  setting('handlers', '--handlers', 'DIR', 'none', 'a folder of handlers, one module a type'),
  setting(
    'handlerMemoryMb',
    '--handler-memory-mb',
    'MB',
    '512',
    'memory of each handler that runs: beyond it, its task fails',
  ),
  setting(
    'secretsDir',
    '--secrets-dir',
    'DIR',
    'none',
    'a folder of files that payloads name by secretRef',
  ),
  setting(
    'secretEnv',
    '--secret-env',
    'LIST',
    'none',
    'variables that payloads may name so, with commas',
  ),
  setting('logLevel', '--log-level', 'LEVEL', 'info', 'error, warn, info or debug'),
  setting('logFormat', '--log-format', 'FORMAT', 'pretty on a terminal, else json', 'pretty, json'),
  setting('timings', '--timings', 'PROFILE', 'lan', 'lan, or wan (all four times longer)'),
  setting('leaseMs', '--lease-ms', 'MS', '10000', 'lease of a node; wan: 40000'),
  setting(
    'retentionDays',
    '--retention-days',
    'DAYS',
    '7',
    'what ended longer ago is removed; 0 keeps it; the same on every node',
  ),
  setting(
    'retentionGb',
    '--retention-gb',
    'GB',
    '0',
    'above so much history the oldest is removed; 0 for no limit',
  ),
  setting(
    'auditDays',
    '--audit-days',
    'DAYS',
    '90',
    'the audit log is kept so long; of submits, 7 at most',
  ),
  setting('drainMs', '--drain-ms', 'MS', '25000', 'a shut-down waits so long for running tasks'),
];
