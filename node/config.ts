import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { LABEL_KEY, LABEL_VALUE } from './core/labels.ts';
import type { RetentionPolicy } from './core/retention.ts';
import { LAN, WAN, faultsOf } from './core/timings.ts';
import type { Timings } from './core/timings.ts';
import { faultsOfAllowList } from './handlers/address-guard.ts';

/**
 * The settings of a node: one validated object out of defaults < environment < flags. Every fault is
 * named at once, each by the flag or the variable it came from; the command line prints them and
 * exits with 2. `SETTINGS` below is the one list: help, README and parser are made of it.
 */
export interface Config {
  /** null: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  readonly name: string;
  readonly httpHost: string;
  /** 0: any free port. */
  readonly httpPort: number;
  readonly grpcHost: string;
  /** 0: any free port. */
  readonly grpcPort: number;
  /** How clients and other nodes reach this one; null: made of host and port. */
  readonly advertiseHttpUrl: string | null;
  readonly advertiseGrpcAddress: string | null;
  readonly slots: number;
  readonly simulate: boolean;
  /** Hosts, addresses and CIDR ranges beside the public internet that `http` tasks may reach. */
  readonly httpAllow: readonly string[];
  readonly allowShell: boolean;
  /** What this node has, `key=value`, sorted: tasks may ask for it. */
  readonly labels: readonly string[];
  /** The folder of the users' handlers; null: none. */
  readonly handlersDir: string | null;
  /** What a user's handler may hold, MiB. */
  readonly handlerMemoryMb: number;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  readonly logFormat: 'pretty' | 'json';
  readonly timings: Timings;
  /** A shut-down waits so long for running tasks before it hands them back. */
  readonly drainMs: number;
  readonly retention: RetentionPolicy;
}

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

export class ConfigError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('; '));
    this.name = 'ConfigError';
    this.faults = faults;
  }
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
  setting('drainMs', '--drain-ms', 'MS', '25000', 'a shut-down waits so long for running tasks'),
];

/** A whole number, as a number or as digits. */
const whole = (min: number, max: number) =>
  z
    .union([z.number(), z.string().trim().regex(/^\d+$/).transform(Number)], {
      error: 'must be a whole number',
    })
    .pipe(z.number().int().min(min).max(max));

/** A number, or its digits, with a fraction where there is one. */
const amount = (min: number, max: number) =>
  z
    .union(
      [
        z.number(),
        z
          .string()
          .trim()
          .regex(/^\d+(\.\d+)?$/)
          .transform(Number),
      ],
      {
        error: 'must be a number',
      },
    )
    .pipe(z.number().min(min).max(max));

const SWITCH_ON = ['1', 'true', 'on', 'yes'];
const SWITCH_OFF = ['0', 'false', 'off', 'no', ''];
const onOff = z.union(
  [
    z.boolean(),
    z.enum([...SWITCH_ON, ...SWITCH_OFF]).transform((word) => SWITCH_ON.includes(word)),
  ],
  { error: 'must be true or false' },
);

const allowList = z
  .string()
  .transform((list) => list.split(',').map((one) => one.trim()))
  .transform((list) => list.filter((one) => one !== ''))
  .superRefine((list, context) => {
    for (const one of faultsOfAllowList(list)) {
      context.addIssue({ code: 'custom', message: `${one} is no host, address or CIDR range` });
    }
  });
/** `gpu=a100,ssd`: a key without a value is true. */
const labels = z
  .string()
  .transform((text) => text.split(',').map((label) => label.trim()))
  .transform((given) => given.filter((label) => label !== ''))
  .transform((given) => given.map((label) => (label.includes('=') ? label : `${label}=true`)))
  .refine((given) => given.every(isLabel), {
    error: 'must be KEY=VALUE,… of letters, digits, and . _ / - (in values : too), 63 at most each',
  })
  .refine((given) => new Set(given.map(keyOf)).size === given.length, {
    error: 'must name each key once',
  })
  .transform((given) => given.sort());
const keyOf = (label: string): string => label.slice(0, label.indexOf('='));
const isLabel = (label: string): boolean =>
  LABEL_KEY.test(keyOf(label)) && LABEL_VALUE.test(label.slice(label.indexOf('=') + 1));

const DAY_MS = 24 * 3_600_000;
const GB = 1e9;
const PORT_MAX = 65_535;
const host = z.string().trim().min(1);

const SCHEMA = z.object({
  databaseUrl: z
    .string()
    .refine((url) => /^postgres(ql)?:\/\//.test(url) && URL.canParse(url), {
      error: 'must be a URL that begins with postgres:// or postgresql://',
    })
    .optional(),
  dataDir: z.string().min(1).optional(),
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, {
      error: 'must be 1 to 100 letters, digits, dots, dashes or underscores',
    })
    .optional(),
  httpHost: host.default('127.0.0.1'),
  httpPort: whole(0, PORT_MAX).default(0),
  grpcHost: host.default('127.0.0.1'),
  grpcPort: whole(0, PORT_MAX).default(0),
  advertiseHttpUrl: z.url({ protocol: /^https?$/ }).optional(),
  advertiseGrpcAddress: z
    .string()
    .regex(/^.+:\d+$/, { error: 'must be HOST:PORT' })
    .optional(),
  slots: whole(1, 100_000).default(3),
  simulate: onOff.default(false),
  httpAllow: allowList.default([]),
  allowShell: onOff.default(false),
  labels: labels.default([]),
  handlers: z.string().min(1).optional(),
  handlerMemoryMb: whole(16, 1_048_576).default(512),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  logFormat: z.enum(['pretty', 'json']).optional(),
  timings: z.enum(['lan', 'wan']).default('lan'),
  leaseMs: whole(1, 3_600_000).optional(),
  drainMs: whole(0, 3_600_000).default(25_000),
  retentionDays: amount(0, 36_500).default(7),
  retentionGb: amount(0, 1_000_000).default(0),
});

export interface ConfigSource {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** By the keys of `Setting`, as commander gives them; undefined stands for "not given". */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Decides how logs look by default. */
  readonly isTerminal?: boolean;
}

/** Throws a ConfigError that names every fault. */
export function parseConfig(source: ConfigSource): Config {
  const { values, origins, faults } = gather(source);
  const parsed = SCHEMA.safeParse(values);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const key = String(issue.path[0]);
      faults.push(`${origins.get(key) ?? key}: ${issue.message}`);
    }
    throw new ConfigError(faults);
  }
  const { leaseMs, timings: profile, handlers, retentionDays, retentionGb, ...given } = parsed.data;
  const timings = timingsOf(profile, leaseMs);
  if (faultsOf(timings).length > 0) {
    const least = String(leastLeaseMs(profile));
    faults.push(
      `${origins.get('leaseMs') ?? '--lease-ms'}: must be at least ${least} (${profile})`,
    );
  }
  if (faults.length > 0) throw new ConfigError(faults);
  const isTerminal = source.isTerminal ?? process.stdout.isTTY;
  return {
    ...given,
    databaseUrl: given.databaseUrl ?? null,
    dataDir: path.resolve(given.dataDir ?? '.skein'),
    handlersDir: handlers === undefined ? null : path.resolve(handlers),
    name: given.name ?? defaultName(),
    advertiseHttpUrl: given.advertiseHttpUrl?.replace(/\/$/, '') ?? null,
    advertiseGrpcAddress: given.advertiseGrpcAddress ?? null,
    logFormat: given.logFormat ?? (isTerminal ? 'pretty' : 'json'),
    timings,
    retention: { ageMs: retentionDays * DAY_MS, bytesMax: retentionGb * GB },
  };
}

interface Gathered {
  readonly values: Record<string, unknown>;
  /** The flag or variable that each value came from. */
  readonly origins: Map<string, string>;
  readonly faults: string[];
}

function gather(source: ConfigSource): Gathered {
  const values: Record<string, unknown> = {};
  const origins = new Map<string, string>();
  for (const { key, env, flag } of SETTINGS) {
    const variable = env.find((name) => (source.env[name] ?? '') !== '');
    if (source.flags[key] !== undefined) {
      values[key] = source.flags[key];
      origins.set(key, flag);
    } else if (variable !== undefined) {
      values[key] = source.env[variable];
      origins.set(key, variable);
    }
  }
  // A data folder that was named by a flag means its database, whatever DATABASE_URL says for others.
  if (origins.get('dataDir') === '--data-dir' && origins.get('databaseUrl') !== '--database-url') {
    delete values['databaseUrl'];
  }
  const known = new Set(SETTINGS.map((s) => s.key));
  const unknown = Object.keys(source.flags).filter((key) => !known.has(key));
  return { values, origins, faults: unknown.map((key) => `${key}: there is no such setting`) };
}

/** A lease of its own keeps the profile's proportions: abort at 0.7, kill at 0.9 of it. */
function timingsOf(profile: 'lan' | 'wan', leaseMs: number | undefined): Timings {
  const timings = profile === 'wan' ? WAN : LAN;
  if (leaseMs === undefined) return timings;
  const [abortMs, killMs] = [Math.floor(leaseMs * 0.7), Math.floor(leaseMs * 0.9)];
  return { ...timings, leaseMs, abortMs, killMs };
}

/** The shortest lease that leaves the time for an election and for the end of what ran under it. */
function leastLeaseMs(profile: 'lan' | 'wan'): number {
  let [unsafe, safe] = [0, 3_600_000];
  while (safe - unsafe > 1) {
    const ms = Math.floor((unsafe + safe) / 2);
    if (faultsOf(timingsOf(profile, ms)).length > 0) unsafe = ms;
    else safe = ms;
  }
  return safe;
}

function defaultName(): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9._-]/g, '-');
  return `${host === '' ? 'node' : host}-${String(process.pid)}`.slice(-100).replace(/^[._-]+/, '');
}

/** Where the embedded PostgreSQL of a data folder lives. */
export function databaseHomeOf(config: Pick<Config, 'dataDir'>): string {
  return path.join(config.dataDir, 'postgres');
}

export interface Listening {
  readonly httpPort: number;
  readonly grpcPort: number;
}

/** What this node tells the others about itself, once it listens. */
export function advertisedBy(
  config: Config,
  listening: Listening,
): { readonly httpUrl: string; readonly grpcAddress: string } {
  const http = reachable(config.httpHost);
  const grpc = reachable(config.grpcHost);
  return {
    httpUrl: config.advertiseHttpUrl ?? `http://${http}:${String(listening.httpPort)}`,
    grpcAddress: config.advertiseGrpcAddress ?? `${grpc}:${String(listening.grpcPort)}`,
  };
}

/** An address for "everywhere" is no address to dial: the name of the machine stands for it. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}
