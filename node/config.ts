import { hostname } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { isLoopback } from './base/loopback.ts';
import { LABEL_KEY, LABEL_VALUE } from './core/labels.ts';
import type { RetentionPolicy } from './core/retention.ts';
import { LAN, WAN, faultsOf } from './core/timings.ts';
import type { Timings } from './core/timings.ts';
import { faultsOfAllowList } from './handlers/address-guard.ts';
import { exposureOf, faultsOfExposure } from './exposure.ts';
import type { Exposure, ExposureGiven } from './exposure.ts';
import type { SecretSources } from './secret-sources.ts';
import { SETTINGS } from './settings.ts';

/**
 * The settings of a node: one validated object out of defaults < environment < flags. Every fault is
 * named at once, each by the flag or the variable it came from; the command line prints them and
 * exits with 2. `SETTINGS` in settings.ts is the one list of them.
 */
export interface Config {
  /** null: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | null;
  readonly dataDir: string;
  readonly name: string;
  readonly httpHost: string;
  /** 0: any free port. */
  readonly httpPort: number;
  readonly exposure: Exposure;
  readonly grpcHost: string;
  /** How the streams between nodes are guarded. */
  readonly peers: { readonly clusterDir: string | null; readonly secret: string | null };
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
  /** What tasks here may be told by `secretRef`. */
  readonly secrets: SecretSources;
  readonly logLevel: 'error' | 'warn' | 'info' | 'debug';
  readonly logFormat: 'pretty' | 'json';
  readonly timings: Timings;
  /** A shut-down waits so long for running tasks before it hands them back. */
  readonly drainMs: number;
  readonly retention: RetentionPolicy;
  readonly auditDays: number;
}

export class ConfigError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('; '));
    this.name = 'ConfigError';
    this.faults = faults;
  }
}

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
/** Names and addresses as a `Host` header has them, without a port. */
const hostList = z
  .string()
  .transform((list) => list.split(',').map((one) => one.trim().toLowerCase()))
  .transform((list) => list.filter((one) => one !== ''))
  .refine((list) => list.every((one) => /^[\w.-]+$|^\[?[0-9a-f:.]+\]?$/.test(one)), {
    error: 'must be names or addresses with commas, without ports',
  });
/** Names of variables. */
const nameList = z
  .string()
  .transform((list) => list.split(',').map((one) => one.trim()))
  .transform((list) => list.filter((one) => one !== ''))
  .refine((list) => list.every((one) => /^\w+$/.test(one)), {
    error: 'must be names of variables with commas',
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
  clusterDir: z.string().min(1).optional(),
  peerSecret: z.string().min(16, 'must have 16 characters at least').optional(),
  tlsCert: z.string().min(1).optional(),
  tlsKey: z.string().min(1).optional(),
  behindTlsProxy: onOff.default(false),
  insecure: onOff.default(false),
  requireKeys: onOff.default(false),
  allowedHosts: hostList.default([]),
  rateLimit: whole(0, 1_000_000).default(500),
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
  secretsDir: z.string().min(1).optional(),
  secretEnv: nameList.default([]),
  logLevel: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  logFormat: z.enum(['pretty', 'json']).optional(),
  timings: z.enum(['lan', 'wan']).default('lan'),
  leaseMs: whole(1, 3_600_000).optional(),
  drainMs: whole(0, 3_600_000).default(25_000),
  auditDays: amount(0.01, 36_500).default(90),
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
  const { leaseMs, timings: profile, handlers, ...rest } = parsed.data;
  const { tlsCert, tlsKey, behindTlsProxy, insecure, requireKeys, ...more } = rest;
  const { allowedHosts, rateLimit, retentionDays, retentionGb, ...others } = more;
  const { secretsDir, secretEnv, clusterDir, peerSecret, ...given } = others;
  const reached: ExposureGiven = {
    ...{ httpHost: given.httpHost, tlsCert, tlsKey, behindTlsProxy },
    ...{ insecure, requireKeys, allowedHosts, rateLimit },
  };
  const timings = timingsOf(profile, leaseMs);
  if (faultsOf(timings).length > 0) {
    const least = String(leastLeaseMs(profile));
    faults.push(
      `${origins.get('leaseMs') ?? '--lease-ms'}: must be at least ${least} (${profile})`,
    );
  }
  faults.push(...faultsOfExposure(reached));
  if (!isLoopback(given.grpcHost) && clusterDir === undefined && !insecure) {
    faults.push(
      `--grpc-host: ${given.grpcHost} can be reached from other machines, so nodes must know each other: ` +
        'give --cluster-dir, which `skein cluster init` makes',
    );
  }
  if (faults.length > 0) throw new ConfigError(faults);
  const isTerminal = source.isTerminal ?? process.stdout.isTTY;
  return {
    ...given,
    exposure: exposureOf(reached),
    peers: {
      clusterDir: clusterDir === undefined ? null : path.resolve(clusterDir),
      secret: peerSecret ?? null,
    },
    secrets: { dir: secretsDir === undefined ? null : path.resolve(secretsDir), env: secretEnv },
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
  const scheme = config.exposure.tls === null ? 'http' : 'https';
  const http = reachable(config.httpHost);
  const grpc = reachable(config.grpcHost);
  return {
    httpUrl: config.advertiseHttpUrl ?? `${scheme}://${http}:${String(listening.httpPort)}`,
    grpcAddress: config.advertiseGrpcAddress ?? `${grpc}:${String(listening.grpcPort)}`,
  };
}

/** An address for "everywhere" is no address to dial: the name of the machine stands for it. */
function reachable(host: string): string {
  if (host === '0.0.0.0' || host === '::') return hostname();
  return host.includes(':') ? `[${host}]` : host;
}
