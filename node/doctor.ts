import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from './base/clock.ts';
import { AppError, toError } from './base/errors.ts';
import { ConfigError, databaseHomeOf, parseConfig } from './config.ts';
import type { Config } from './config.ts';
import {
  diagnoseCertificate,
  diagnoseDatabase,
  diagnoseDisk,
  diagnoseNode,
} from './core/diagnosis.ts';
import type { Finding } from './core/diagnosis.ts';
import { checkUp } from './store/checkup.ts';
import { LockSessions } from './store/lock-session.ts';
import { PrimaryWatch } from './store/primary.ts';
import { VERSION } from './version.ts';

/**
 * `skein doctor`: what a node with these settings would find here, before it is started, and what will hurt
 * it later. It takes the settings of `skein node`, changes nothing, and asks each part by itself: one that
 * cannot be judged is a finding, and does not keep the others from being asked.
 */
export interface DoctorDeps {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly write: (text: string) => unknown;
  readonly complain: (text: string) => unknown;
}

/** Answers the exit code: 1 where anything fails, 2 where the settings cannot be used. */
export async function runDoctor(
  flags: Readonly<Record<string, unknown>>,
  isJson: boolean,
  { env, write, complain }: DoctorDeps,
): Promise<number> {
  let config: Config;
  try {
    config = parseConfig({ env, flags });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) complain(`skein: ${fault}\n`);
    return 2;
  }
  const findings: Finding[] = [];
  for (const check of CHECKS) findings.push(...(await check(config)));
  const failed = findings.filter(({ status }) => status === 'fail').length;
  const warned = findings.filter(({ status }) => status === 'warn').length;
  if (isJson) write(`${JSON.stringify({ ok: failed === 0, failed, warned, findings })}\n`);
  else {
    for (const finding of findings) write(lineOf(finding));
    write(`${String(failed)} failed, ${String(warned)} to look at\n`);
  }
  return failed === 0 ? 0 : 1;
}

type Check = (config: Config) => Promise<readonly Finding[]>;

const CHECKS: readonly Check[] = [
  () => Promise.resolve([diagnoseNode(process.versions.node)]),
  portFindings,
  diskFindings,
  certificateFindings,
  databaseFindings,
];

function lineOf({ status, check, said, advice }: Finding): string {
  const line = `${status.padEnd(5)} ${check.padEnd(14)} ${said}\n`;
  return advice === undefined ? line : `${line}${' '.repeat(21)}→ ${advice}\n`;
}

async function portFindings(config: Config): Promise<readonly Finding[]> {
  const { httpHost, httpPort, grpcHost, grpcPort } = config;
  return [
    await portFinding('http port', httpHost, httpPort),
    await portFinding('grpc port', grpcHost, grpcPort),
  ];
}

async function portFinding(check: string, host: string, port: number): Promise<Finding> {
  if (port === 0) return { check, status: 'ok', said: `any free one on ${host}` };
  const place = `${host}:${String(port)}`;
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, resolve);
    });
    return { check, status: 'ok', said: `${place} is free` };
  } catch (thrown) {
    const { code } = toError(thrown) as NodeJS.ErrnoException;
    const said = `${place} cannot be listened on (${code ?? 'unknown'})`;
    const advice =
      code === 'EADDRINUSE'
        ? 'is a node running here already? Else end what holds it, or choose another port'
        : 'choose an address of this machine, and a port that this user may open';
    return { check, status: 'fail', said, advice };
  } finally {
    server.close();
  }
}

/** The database lives here only where it is the packaged one; large bodies are spooled either way. */
async function diskFindings(config: Config): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const places: [string, string][] = [['bodies above 16 MiB', tmpdir()]];
  if (config.databaseUrl === null) places.push(['the database', config.dataDir]);
  for (const [what, folder] of places) {
    const there = nearestOf(folder);
    try {
      const { bavail, bsize } = await statfs(there);
      findings.push(diagnoseDisk(what, there, bavail * bsize));
    } catch (thrown) {
      const said = `${there} cannot be looked at: ${toError(thrown).message}`;
      findings.push({ check: 'disk', status: 'warn', said, advice: 'look at its mount' });
    }
  }
  return findings;
}

/** Of the cluster and of REST, where there are any. */
async function certificateFindings({ peers, exposure }: Config): Promise<readonly Finding[]> {
  const { clusterDir } = peers;
  const files = [
    ...(clusterDir === null
      ? []
      : ['ca.pem', 'node.pem'].map((name) => path.join(clusterDir, name))),
    ...(exposure.tls === null ? [] : [exposure.tls.certFile]),
  ];
  const findings = files.map(async (file): Promise<Finding> => {
    try {
      const { validFrom, validTo } = new X509Certificate(await readFile(file));
      const valid = { fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) };
      return diagnoseCertificate(file, valid, Date.now());
    } catch (thrown) {
      const said = `${file} cannot be read: ${toError(thrown).message}`;
      return { check: 'certificate', status: 'fail', said, advice: 'see deploy/mtls.md' };
    }
  });
  return Promise.all(findings);
}

function nearestOf(folder: string): string {
  return existsSync(folder) ? folder : nearestOf(path.dirname(folder));
}

async function databaseFindings(config: Config): Promise<readonly Finding[]> {
  const { databaseUrl } = config;
  if (databaseUrl === null) {
    const home = databaseHomeOf(config);
    const said = `the packaged PostgreSQL in ${home}, for one machine; --database-url for several`;
    return [{ check: 'postgresql', status: 'ok', said }];
  }
  try {
    const now = { wallMs: () => Date.now(), monotonicMs: () => systemClock.monotonicMs() };
    const facts = await checkUp(databaseUrl, now);
    const findings = diagnoseDatabase(facts, VERSION);
    return [...findings, ...(await poolerFindings(config, databaseUrl, facts.schema))];
  } catch (thrown) {
    const error = toError(thrown) as NodeJS.ErrnoException;
    const said = `cannot be asked: ${[error.code, error.message].filter(Boolean).join(' ')}`;
    const advice = 'look at the address, the password, pg_hba.conf and the firewall';
    return [{ check: 'postgresql', status: 'fail', said, advice }];
  }
}

/** The proof that a node makes at its start: a lock must stay with the session that took it. */
async function poolerFindings(
  { timings }: Config,
  databaseUrl: string,
  { exists, canUse }: { readonly exists: boolean; readonly canUse: boolean },
): Promise<readonly Finding[]> {
  const check = 'pooler';
  if (!exists || !canUse) return [];
  const sessions = new LockSessions({
    ...{ databaseUrl, timings, incarnation: crypto.randomUUID(), clock: systemClock },
    servers: new PrimaryWatch(() => undefined),
  });
  try {
    await sessions.prove();
    return [
      { check, status: 'ok', said: 'none in transaction mode: locks stay with their session' },
    ];
  } catch (thrown) {
    const isPooler = thrown instanceof AppError && thrown.code === 'lock_session_unsafe';
    const advice = isPooler
      ? 'give the nodes a direct connection, or a pooler in session mode'
      : 'look at the log of the server';
    return [{ check, status: 'fail', said: toError(thrown).message, advice }];
  }
}
