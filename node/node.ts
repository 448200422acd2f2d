import { createHmac } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { scheduleRendering } from './api/schedule-body.ts';
import type { LeaderPort } from './api/ports.ts';
import { ApiServer } from './api/server.ts';
import type { ApiDeps } from './api/server.ts';
import { Spawner } from './api/submit/spawner.ts';
import { systemClock, systemRng } from './base/clock.ts';
import { toError } from './base/errors.ts';
import { advertisedBy, databaseHomeOf, type Config } from './config.ts';
import type { Handler } from './core/handler.ts';
import { hostNamesOf } from './exposure.ts';
import { Feed } from './feed.ts';
import { builtInsOf } from './handlers/built-in.ts';
import { Lives } from './lives.ts';
import { createLogger, type Logger } from './observe/log.ts';
import { Metrics } from './observe/metrics.ts';
import type { PeerSecurity } from './rpc/peer-security.ts';
import { PeerServer } from './rpc/peer-server.ts';
import { AttentionReader } from './store/attention-reader.ts';
import { ClusterReader } from './store/cluster-reader.ts';
import { TypeControl } from './store/type-control.ts';
import { AuditLog } from './store/audit-log.ts';
import { Database } from './store/database.ts';
import { openEmbeddedPostgres, type EmbeddedPostgres } from './store/embedded-postgres.ts';
import { KeyStore } from './store/key-store.ts';
import { LogReader } from './store/log-reader.ts';
import { LockSessions } from './store/lock-session.ts';
import { migrate } from './store/migrate.ts';
import { NodeControl } from './store/node-control.ts';
import { PrimaryProbe } from './store/primary-probe.ts';
import { PrimaryWatch } from './store/primary.ts';
import { Schedules } from './store/schedules.ts';
import { secretsOf } from './secret-sources.ts';
import { Submissions } from './store/submissions.ts';
import { BulkChanges } from './store/bulk-changes.ts';
import { TaskChanges } from './store/task-changes.ts';
import { TaskReader } from './store/task-reader.ts';
import { WorkflowReader } from './store/workflow-reader.ts';
import { realSurroundings } from './surroundings.ts';
import { VERSION } from './version.ts';
import { loadHandlers } from './worker/load-handlers.ts';
import type { UserCode } from './worker/user-code.ts';

/**
 * A node, composed. Read `start` from top to bottom: it is the order in which the parts need each
 * other, and `stop` goes back the same way. Roles meet only here.
 *
 *   database ─▶ peer server ─▶ REST ─▶ lives (worker, stream to the leader, election)
 *
 * Shutting down, the node resigns first, so that another leads while it still works; then it drains,
 * and answers REST until it has left the cluster.
 */
export interface RunningNode {
  readonly httpUrl: string;
  /** Drains and ends; the signal cuts the drain short. Idempotent. */
  stop(hurry?: AbortSignal): Promise<void>;
  /** Resolves when the node has ended, for whatever reason; never rejects. */
  readonly finished: Promise<void>;
}

/** What tasks run: here, and in the processes of those that run alone. */
export interface TaskCode {
  readonly handlers: readonly Handler[];
  /** A module that runs `runChild` with the same handlers. */
  readonly childEntry: URL;
  /** For that module, as JSON. */
  readonly childSettings?: unknown;
}

function codeOf({ httpAllow, allowShell }: Config): TaskCode {
  const childSettings = { httpAllow, allowShell };
  return {
    handlers: builtInsOf(childSettings),
    childEntry: new URL(import.meta.url.replace(/node\.(ts|js)$/, 'task-child.$1')),
    childSettings,
  };
}

/** Where the build puts the page; run from the sources, a node serves none. */
const PAGE_DIR = fileURLToPath(new URL('./dashboard/page', import.meta.url));
const DOCS_DIR = fileURLToPath(new URL('./api/docs-page', import.meta.url));
/** What a peer gets to read the goodbye. */
const FAREWELL_MS = 1000;
/**
 * Beyond the drain's own time, what settling and handing back may take. After that the node ends
 * without: with no database to settle in, waiting would be for ever.
 */
const SETTLE_MS = 4000;

export async function startNode(config: Config, code = codeOf(config)): Promise<RunningNode> {
  const { name, handlersDir } = config;
  const users =
    handlersDir === null
      ? undefined
      : await loadHandlers(handlersDir, code.childEntry, code.childSettings, systemClock);
  const log = createLogger({
    level: config.logLevel,
    format: config.logFormat,
    fields: { node: name },
  });
  const node = new Node(config, log, code, users);
  try {
    await node.start();
  } catch (thrown) {
    await node.stop(AbortSignal.abort());
    throw thrown;
  }
  return node;
}

class Node implements RunningNode {
  readonly finished: Promise<void>;
  private readonly config: Config;
  private readonly log: Logger;
  private readonly code: TaskCode;
  private readonly users: UserCode | undefined;
  private readonly metrics = new Metrics();
  private readonly feed = new Feed(() => this.lives?.current?.contact);
  /** What the faces say to the leader, over the stream of the present life. */
  private readonly leader: LeaderPort = {
    look: (submitted) => {
      this.lives?.current?.contact.look(submitted);
    },
    nodesChanged: () => {
      this.lives?.current?.contact.say({ nodesChanged: true });
    },
    isLeader: () => this.lives?.current?.isLeader ?? false,
    ask: async (question, signal) => this.lives?.current?.contact.ask(question, signal),
  };
  private readonly hasStopped: () => void;
  private readonly primary: PrimaryWatch;
  private probe: PrimaryProbe | undefined;
  private lives: Lives | undefined;
  private peers: PeerServer | undefined;
  private embedded: EmbeddedPostgres | undefined;
  private database: Database | undefined;
  private submissions: Submissions | undefined;
  private api: ApiServer | undefined;
  private addresses = { httpUrl: '', grpcAddress: '' };
  private databaseUrl = '';
  private stopping: Promise<void> | undefined;

  constructor(config: Config, log: Logger, code: TaskCode, users: UserCode | undefined) {
    this.config = config;
    this.log = log;
    this.code = code;
    this.users = users;
    this.primary = new PrimaryWatch((from, to) => {
      log.warn('Another server of PostgreSQL is the primary now.', { from, to });
    });
    let hasStopped = (): void => undefined;
    this.finished = new Promise((resolve) => {
      hasStopped = resolve;
    });
    this.hasStopped = hasStopped;
  }

  get httpUrl(): string {
    return this.addresses.httpUrl;
  }

  async start(): Promise<void> {
    const { config, log } = this;
    this.databaseUrl = config.databaseUrl ?? (await this.openEmbedded());
    this.probe = await this.lookAtServer();
    await migrate({ databaseUrl: this.databaseUrl });
    await this.proveDirect();
    this.database = new Database({
      url: this.databaseUrl,
      name: config.name,
      clock: systemClock,
      rng: systemRng,
      servers: this.primary,
    });
    if (config.exposure.isInsecure) {
      log.warn('Other machines may do everything here: REST is served without TLS and keys.', {
        http_host: config.httpHost,
      });
    }
    await this.refuseWithoutKeys(this.database);
    this.peers = new PeerServer({
      host: config.grpcHost,
      port: config.grpcPort,
      log,
      accept: (link) => this.lives?.accept(link) ?? { refused: 'not the leader' },
      security: this.peerSecurity(),
    });
    const { port: grpcPort } = await this.peers.start();
    this.submissions = new Submissions({ database: this.database, clock: systemClock });
    this.api = this.createApi(this.database, this.submissions);
    const { port: httpPort } = await this.api.start();
    this.addresses = advertisedBy(config, { httpPort, grpcPort });
    this.lives = this.createLives(this.submissions);
    await this.lives.begin();
    this.probe.start();
    const { httpUrl: http_url, grpcAddress: grpc_address } = this.addresses;
    const types = [...(this.users?.types.keys() ?? [])];
    log.info('The node is up.', { http_url, grpc_address, slots: config.slots, types });
  }

  stop(hurry: AbortSignal = new AbortController().signal): Promise<void> {
    this.stopping ??= this.stopOnce(hurry).finally(this.hasStopped);
    return this.stopping;
  }

  private async stopOnce(hurry: AbortSignal): Promise<void> {
    const { log, config } = this;
    log.info('The node is shutting down.');
    this.peers?.setServing(false);
    const late = new AbortController();
    const cancelLate = systemClock.after(config.drainMs + SETTLE_MS, () => {
      late.abort();
    });
    const giveUp = AbortSignal.any([hurry, late.signal]);
    await this.attempt('look no more for the primary', () => this.probe?.stop());
    await this.attempt('drain', () => this.lives?.drain(config.drainMs, giveUp));
    cancelLate();
    await this.attempt('leave', () => this.lives?.end());
    await this.attempt('close REST', () => this.api?.stop());
    await this.attempt('commit the last submits', () => this.submissions?.stop());
    await this.attempt('close the peer server', () => this.peers?.stop(FAREWELL_MS));
    await this.attempt('close the database', () => this.database?.stop());
    // The last node out stops the server that came with the packages.
    await this.attempt('stop the server', async () => {
      await this.embedded?.stopIfUnused();
    });
    log.info('The node has ended.');
    await log.close();
  }

  /** A step of the shut-down that fails is said, and does not keep the others from happening. */
  private async attempt(what: string, step: () => Promise<void> | undefined): Promise<void> {
    try {
      await step();
    } catch (thrown) {
      this.log.error('A step of the shut-down failed.', { step: what, error: toError(thrown) });
    }
  }

  /** Who may read the password of the embedded database is a node of this machine: it is their secret. */
  private peerSecurity(): PeerSecurity {
    const { clusterDir, secret } = this.config.peers;
    if (secret !== null || clusterDir !== null || this.embedded === undefined) {
      return { clusterDir, secret };
    }
    const { password } = new URL(this.embedded.url);
    return { clusterDir, secret: createHmac('sha256', password).update('peers').digest('hex') };
  }

  private async openEmbedded(): Promise<string> {
    const home = databaseHomeOf(this.config);
    this.embedded = await openEmbeddedPostgres({ home });
    return this.embedded.url;
  }

  /** Refuses a standby, and says what the server may forget at a crash. */
  private async lookAtServer(): Promise<PrimaryProbe> {
    const { databaseUrl, log, primary, config } = this;
    const { name } = config;
    const probe = new PrimaryProbe({
      databaseUrl,
      name,
      log,
      clock: systemClock,
      servers: primary,
    });
    const off = await probe.look();
    if (off.length > 0) {
      log.warn('PostgreSQL may lose acknowledged tasks at a crash: these settings are off.', {
        off,
      });
    }
    return probe;
  }

  /** Refuses a pooler that lends its sessions by the transaction: the leader's lock would leak. */
  private async proveDirect(): Promise<void> {
    const sessions = new LockSessions({
      databaseUrl: this.databaseUrl,
      incarnation: crypto.randomUUID(),
      clock: systemClock,
      timings: this.config.timings,
      servers: this.primary,
    });
    await sessions.prove();
  }

  /** A node that asks for keys where nobody ever made one would answer nobody. */
  private async refuseWithoutKeys(database: Database): Promise<void> {
    if (!this.config.exposure.needsKeys || (await new KeyStore(database).hasAny())) return;
    throw new Error(
      'this node asks for keys, and there is none yet: make the first one by ' +
        'skein keys create --role admin --database-url URL',
    );
  }

  private createApi(database: Database, submissions: Submissions): ApiServer {
    return new ApiServer({
      clock: systemClock,
      log: this.log,
      host: this.config.httpHost,
      port: this.config.httpPort,
      leader: this.leader,
      feed: this.feed,
      readiness: () => this.readiness(),
      metrics: this.metrics,
      submissions,
      tasks: new TaskReader(database),
      logs: new LogReader(database),
      changes: new TaskChanges(database),
      bulk: new BulkChanges(database),
      workflows: new WorkflowReader(database),
      schedules: new Schedules(database),
      cluster: new ClusterReader({ session: database, clock: systemClock }),
      nodes: new NodeControl(database),
      attention: new AttentionReader({ session: database, clock: systemClock }),
      types: new TypeControl(database),
      keys: new KeyStore(database),
      audit: new AuditLog(database),
      auditDays: this.config.auditDays,
      ...this.guards(),
      pageDir: PAGE_DIR,
      docsDir: DOCS_DIR,
      version: VERSION,
    });
  }

  private guards(): Pick<ApiDeps, 'door' | 'tls'> {
    const { httpHost, advertiseHttpUrl, exposure } = this.config;
    const hostNames = hostNamesOf(httpHost, advertiseHttpUrl, exposure);
    return { door: { ...exposure, hostNames }, tls: exposure.tls };
  }

  private readiness(): { readonly ready: boolean; readonly reasons: readonly string[] } {
    const reasons: string[] = [];
    if (this.stopping !== undefined) reasons.push('the node is shutting down');
    else if (this.lives?.current === undefined) reasons.push('the node is starting');
    else if (!this.lives.current.contact.hasRenewedLately) {
      reasons.push('the node cannot renew its lease');
    }
    return { ready: reasons.length === 0, reasons };
  }

  private createLives(submissions: Submissions): Lives {
    const { leader } = this;
    const spawner = new Spawner({ clock: systemClock, submissions, leader, metrics: this.metrics });
    const { config, log, metrics, databaseUrl, feed, code, primary, users } = this;
    const { name } = config;
    const { childEntry, childSettings } = code;
    return new Lives({
      config,
      log,
      metrics,
      surroundings: realSurroundings({
        ...{ databaseUrl, name, log, childEntry, childSettings, primary, users },
        duties: { ...scheduleRendering(systemClock), metrics, retention: config.retention },
        peers: this.peerSecurity(),
        memoryMb: config.handlerMemoryMb,
        secrets: secretsOf(config.secrets, process.env),
        doubt: () => {
          this.probe?.doubt();
        },
      }),
      handlers: code.handlers,
      users,
      spawn: (parent, tasks, from) => spawner.spawn(parent, tasks, from),
      addresses: this.addresses,
      version: VERSION,
      isStopping: () => this.stopping !== undefined,
      onEnded: (seqs, codes) => {
        feed.tellEnded(seqs, codes);
      },
      onTerm: () => {
        feed.tellTerm();
      },
      onNews: (news) => {
        feed.tellNews(news);
      },
    });
  }
}
