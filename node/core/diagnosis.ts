/**
 * What `skein doctor` thinks of what it found: pure judgement, so that each line of it can be tried. A `fail`
 * keeps a node from working as promised, a `warn` will hurt some day. Each says what to do.
 */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly said: string;
  /** What to do; absent where all is well. */
  readonly advice?: string;
}

export interface DatabaseFacts {
  readonly versionNumber: number;
  readonly version: string;
  readonly encoding: string;
  readonly isStandby: boolean;
  readonly role: {
    readonly name: string;
    readonly isSuperuser: boolean;
    readonly canCreateSchema: boolean;
    /** -1 for no limit. */
    readonly connectionLimit: number;
  };
  readonly schema: {
    readonly exists: boolean;
    readonly canUse: boolean;
    readonly canCreate: boolean;
    /** Tables of it where the role lacks a right, as `task: update, delete`. */
    readonly lacking: readonly string[];
    /** Those that belong to somebody else: a migration could not change them. */
    readonly foreign: readonly string[];
  };
  /** By name, as this role sees them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly connections: {
    readonly max: number;
    readonly reserved: number;
    readonly used: number;
    /** Of the database; -1 for no limit. */
    readonly limit: number;
  };
  readonly clock: { readonly skewMs: number; readonly roundTripMs: number };
  /** Those that live. */
  readonly nodes: readonly { readonly name: string; readonly version: string }[];
}

/** What one node opens at most, and what the leader has beside it. */
const CONNECTIONS_OF_NODE = 13;
const CONNECTIONS_OF_LEADER = 2;
const VERSION_MIN = 160_000;
const SKEW_WARN_MS = 1000;
const SKEW_FAIL_MS = 60_000;
const ROUND_TRIP_WARN_MS = 20;

const ok = (check: string, said: string): Finding => ({ check, status: 'ok', said });
const warn = (check: string, said: string, advice: string): Finding => ({
  ...{ check, status: 'warn', said, advice },
});
const fail = (check: string, said: string, advice: string): Finding => ({
  ...{ check, status: 'fail', said, advice },
});

export function diagnoseDatabase(facts: DatabaseFacts, ownVersion: string): readonly Finding[] {
  return [
    versionFinding(facts),
    ...serverFindings(facts),
    ...roleFindings(facts),
    ...durabilityFindings(facts),
    ...settingFindings(facts),
    connectionFinding(facts),
    clockFinding(facts),
    nodesFinding(facts, ownVersion),
  ];
}

function versionFinding({ versionNumber, version }: DatabaseFacts): Finding {
  if (versionNumber >= VERSION_MIN) return ok('postgresql', version);
  return fail(
    'postgresql',
    `${version} is too old`,
    'upgrade the server to PostgreSQL 16 or newer',
  );
}

function serverFindings({ isStandby, encoding, settings }: DatabaseFacts): readonly Finding[] {
  const findings: Finding[] = [];
  if (isStandby) {
    const advice = 'let the address lead to the primary, with target_session_attrs=read-write';
    findings.push(fail('primary', 'it is a standby, which takes no writes', advice));
  } else if (settings['default_transaction_read_only'] === 'on') {
    const advice = 'alter role … set default_transaction_read_only = off';
    findings.push(fail('primary', 'its transactions are read-only', advice));
  } else findings.push(ok('primary', 'it takes writes'));
  if (encoding !== 'UTF8') {
    const advice = "create the database anew with encoding 'UTF8'";
    findings.push(fail('encoding', `${encoding} cannot hold every id and payload`, advice));
  }
  return findings;
}

function roleFindings({ role, schema }: DatabaseFacts): readonly Finding[] {
  const { name } = role;
  if (!schema.exists) {
    return role.canCreateSchema
      ? [ok('role', `${name} may create the schema skein, which is not there yet`)]
      : [
          fail(
            'role',
            `${name} may not create the schema skein`,
            grant('create on database …', name),
          ),
        ];
  }
  const findings: Finding[] = [];
  if (!schema.canUse) {
    return [
      fail('role', `${name} may not use the schema skein`, grant('usage on schema skein', name)),
    ];
  }
  if (schema.lacking.length > 0) {
    const what = schema.lacking.slice(0, 3).join('; ');
    const advice = grant('select, insert, update, delete on all tables in schema skein', name);
    findings.push(fail('role', `${name} lacks rights: ${what}`, advice));
  }
  if (!schema.canCreate || schema.foreign.length > 0) {
    const advice = `alter schema and tables to the owner ${name}, or upgrade with the role that owns them`;
    findings.push(
      warn('role', `${name} could not upgrade the tables: not all are its own`, advice),
    );
  }
  if (role.isSuperuser) {
    const advice = 'give the nodes a role of their own that owns the schema skein and nothing else';
    findings.push(warn('role', `${name} is a superuser, which is more than a node needs`, advice));
  }
  return findings.length > 0 ? findings : [ok('role', `${name} owns what it needs`)];
}

const grant = (what: string, name: string): string => `grant ${what} to ${name}`;

function durabilityFindings({ settings }: DatabaseFacts): readonly Finding[] {
  const off = ['fsync', 'full_page_writes', 'synchronous_commit'].filter(
    (name) => settings[name] === 'off',
  );
  if (off.length === 0) return [ok('durability', 'what is committed is on disk')];
  const advice = `set ${off.map((name) => `${name} = on`).join(', ')}`;
  return [fail('durability', `a crash may lose acknowledged tasks: ${off.join(', ')} off`, advice)];
}

/** Settings that hurt: what to compare, and what follows from it. */
function settingFindings({ settings }: DatabaseFacts): readonly Finding[] {
  const findings: Finding[] = [];
  if (settings['autovacuum'] === 'off' || settings['track_counts'] === 'off') {
    const advice = 'set autovacuum = on and track_counts = on';
    findings.push(fail('autovacuum', 'it is off, and the tables grow without end', advice));
  } else findings.push(ok('autovacuum', 'on'));
  const isolation = settings['default_transaction_isolation'] ?? 'read committed';
  if (isolation !== 'read committed') {
    const advice = "alter role … set default_transaction_isolation = 'read committed'";
    findings.push(fail('isolation', `${isolation} makes guards fail that should wait`, advice));
  }
  for (const name of ['idle_session_timeout', 'idle_in_transaction_session_timeout'] as const) {
    const ms = Number(settings[name] ?? 0);
    if (ms === 0) continue;
    const advice = `alter role … set ${name} = 0`;
    findings.push(warn(name, `sessions of nodes are cut after ${String(ms)} ms`, advice));
  }
  for (const name of ['statement_timeout', 'transaction_timeout', 'lock_timeout'] as const) {
    const ms = Number(settings[name] ?? 0);
    if (ms === 0 || ms >= 30_000) continue;
    const advice = `alter role … set ${name} = 0: nodes have deadlines of their own`;
    findings.push(warn(name, `${String(ms)} ms cuts migrations and large submits off`, advice));
  }
  return findings;
}

function connectionFinding({ connections, role, nodes }: DatabaseFacts): Finding {
  const { max, reserved, used, limit } = connections;
  const limits = [max - reserved, limit, role.connectionLimit].filter((each) => each >= 0);
  const most = Math.min(...limits);
  const count = Math.max(nodes.length, 1);
  const needed = count * CONNECTIONS_OF_NODE + CONNECTIONS_OF_LEADER;
  const free = most - used;
  const figures = `${String(used)} of ${String(most)} in use`;
  if (free <= 0)
    return fail('connections', figures, 'raise max_connections, or the limits of the role');
  const enough = `${String(count)} nodes take up to ${String(needed)}`;
  if (most < needed || free < CONNECTIONS_OF_NODE) {
    const advice = `raise max_connections: ${enough}, and one node up to ${String(CONNECTIONS_OF_NODE)}`;
    return warn('connections', figures, advice);
  }
  return ok('connections', `${figures}; ${enough}`);
}

function clockFinding({ clock: { skewMs, roundTripMs } }: DatabaseFacts): Finding {
  const figures = `${skewMs.toFixed(0)} ms from the database, round trip ${roundTripMs.toFixed(1)} ms`;
  const off = Math.max(0, Math.abs(skewMs) - roundTripMs);
  const advice = 'let chrony or another client of NTP keep the clocks of all machines';
  if (off >= SKEW_FAIL_MS) return fail('clock', figures, advice);
  if (off >= SKEW_WARN_MS) return warn('clock', figures, advice);
  if (roundTripMs <= ROUND_TRIP_WARN_MS) return ok('clock', figures);
  return warn('clock', figures, 'bring the nodes nearer to the database, or use --timings wan');
}

function nodesFinding({ nodes }: DatabaseFacts, ownVersion: string): Finding {
  const versions = [...new Set([...nodes.map(({ version }) => version), ownVersion])].sort();
  const said = `${String(nodes.length)} alive, this release is ${ownVersion}`;
  if (versions.length === 1) return ok('nodes', said);
  const mixed = nodes
    .filter(({ version }) => version !== ownVersion)
    .map(({ name, version }) => `${name} has ${version}`);
  const advice = 'two releases in a row work together: finish the upgrade';
  return warn('nodes', `${said}; ${mixed.slice(0, 5).join(', ')}`, advice);
}

export function diagnoseNode(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return ok('node.js', version);
  return fail('node.js', `${version} is too old`, 'install Node.js 20.19 or newer');
}

const MIB = 1024 * 1024;

export function diagnoseDisk(what: string, folder: string, freeBytes: number): Finding {
  const said = `${(freeBytes / (1024 * MIB)).toFixed(1)} GiB free for ${what} in ${folder}`;
  const advice = `make room in ${folder}`;
  if (freeBytes < 100 * MIB) return fail('disk', said, advice);
  return freeBytes < 1024 * MIB ? warn('disk', said, advice) : ok('disk', said);
}

const DAY_MS = 24 * 3_600_000;
const CERTIFICATE_WARN_MS = 14 * DAY_MS;

export function diagnoseCertificate(
  what: string,
  valid: { readonly fromMs: number; readonly toMs: number },
  nowMs: number,
): Finding {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
  const said = `${what} is valid from ${day(valid.fromMs)} to ${day(valid.toMs)}`;
  if (nowMs < valid.fromMs || nowMs >= valid.toMs) {
    return fail('certificate', said, 'replace it; see deploy/mtls.md');
  }
  if (valid.toMs - nowMs < CERTIFICATE_WARN_MS) {
    return warn('certificate', said, 'renew it soon; a node takes up the new one by itself');
  }
  return ok('certificate', said);
}
