import { chmod, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../node/base/clock.ts';
import { toError } from '../node/base/errors.ts';
import { ConfigError, advertisedBy, databaseHomeOf } from '../node/config.ts';
import { openEmbeddedPostgres } from '../node/store/embedded-postgres.ts';
import type { EmbeddedPostgres } from '../node/store/embedded-postgres.ts';
import { firstScreenOf, jsonLineOf, notableLine } from './first-screen.ts';
import type { StartedNode } from './first-screen.ts';
import { followLines, spawnNode } from './node-process.ts';
import type { NodeProcess } from './node-process.ts';
import { findPorts } from './ports.ts';
import type { Ports } from './ports.ts';
import { untilReady } from './readiness.ts';
import { HELP, parseStartOptions } from './start-options.ts';
import type { StartOptions } from './start-options.ts';

/**
 * `npm start`: a whole cluster on this machine. Looks at the ports first, brings the database up,
 * starts every node as a process of its own, waits until the cluster is ready, says so once, and then
 * only watches: it restarts nobody, because a node that dies is what Skein is there for.
 *
 * The first Ctrl-C (or SIGTERM) asks the nodes to drain and waits 30 s at most; the second one kills.
 * The database is stopped last, and only when no node of anybody is connected to it any more. When
 * the launcher itself is killed, nodes and database live on; the data is as durable as PostgreSQL.
 */
const DRAIN_MS = 30_000;
/** npm passes a Ctrl-C on that the terminal has sent already: two so close are one. */
const SAME_SIGNAL_MS = 500;
const LOOK_MS = 250;
/** What a shell says of a program that Ctrl-C ended: the cluster was never ready. */
const INTERRUPTED = 130;

interface Member extends StartedNode {
  readonly process: NodeProcess;
}

class Launcher {
  private readonly options: StartOptions;
  private readonly stop = new AbortController();
  private readonly followers: Promise<void>[] = [];
  private members: readonly Member[] = [];
  private database: EmbeddedPostgres | undefined;
  private signalledAt = Number.NEGATIVE_INFINITY;
  private isForced = false;

  constructor(options: StartOptions) {
    this.options = options;
  }

  /** Resolves to the exit code when everything that was started here is gone again. */
  async run(): Promise<number> {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => this.onSignal());
    }
    void this.watchParent(process.ppid); // Ends by itself; it throws nothing.
    let code = 0;
    try {
      await this.start();
      code = await this.watch();
    } catch (error) {
      code = this.stop.signal.aborted ? INTERRUPTED : 1;
      if (code === 1) say(toError(error).message);
    }
    this.stop.abort();
    await this.shutDown();
    return code;
  }

  private async start(): Promise<void> {
    const began = systemClock.monotonicMs();
    const { node, nodes, json } = this.options;
    const ports = await findPorts({ ...node, nodes });
    const logs = path.join(node.dataDir, 'logs');
    await mkdir(logs, { recursive: true });
    // Log lines may name tasks and hosts: nobody else's business.
    await chmod(logs, 0o700);
    const databaseUrl = node.databaseUrl ?? (await this.openDatabase());
    const env = environmentOf(this.options, databaseUrl);
    for (const [i, pair] of ports.entries()) {
      this.stop.signal.throwIfAborted();
      const name = `node-${String(i + 1)}`;
      const spawned = await spawnNode({
        name,
        flags: flagsOf(this.options, name, pair),
        env,
        log: path.join(logs, `${name}.log`),
      });
      const listening = { httpPort: pair.http, grpcPort: pair.grpc };
      const addresses = advertisedBy(node, listening);
      this.members = [...this.members, { name, pid: spawned.pid, process: spawned, ...addresses }];
    }
    const view = await this.untilReadyOrTell();
    const started = {
      nodes: this.members,
      view,
      embedded: this.database,
      dataDir: node.dataDir,
      simulate: node.simulate,
      seconds: (systemClock.monotonicMs() - began) / 1000,
    };
    if (json) process.stdout.write(`${jsonLineOf(started)}\n`);
    else process.stdout.write(`\n${firstScreenOf(started, isColoured())}\n\n`);
  }

  private async openDatabase(): Promise<string> {
    const home = databaseHomeOf(this.options.node);
    const database = await openEmbeddedPostgres({ home, signal: this.stop.signal });
    this.database = database;
    if (database.home !== home) {
      say(
        `The database cannot run as root, and its user cannot reach ${home}: data in ${database.home}`,
      );
    }
    return database.url;
  }

  private async untilReadyOrTell(): ReturnType<typeof untilReady> {
    if (this.options.verbose) this.followAll(0);
    const awaited = this.members.map(({ process, httpUrl }) => ({ process, httpUrl }));
    try {
      const view = await untilReady(awaited, this.stop.signal);
      if (!this.options.verbose) this.followAll(undefined);
      return view;
    } catch (error) {
      if (!this.options.verbose && !this.stop.signal.aborted) this.followAll(0);
      throw error;
    }
  }

  /** Shows the logs from the start of each process on, or only what comes from now on. */
  private followAll(from: 0 | undefined): void {
    const { verbose } = this.options;
    for (const { name, process: node } of this.members) {
      const show = (line: string): void => {
        const notable = notableLine(name, line, verbose);
        if (notable !== undefined) say(notable);
      };
      const position = from === 0 ? node.logFrom : undefined;
      this.followers.push(followLines(node.log, position, show, this.stop.signal));
    }
  }

  /** Until told to stop, or until no node is left. */
  private async watch(): Promise<number> {
    let left = this.members.length;
    const told = new Promise<number>((resolve) => {
      this.stop.signal.addEventListener('abort', () => resolve(0), { once: true });
      for (const { name, pid, process: node } of this.members) {
        void node.ended.then((ending) => {
          left -= 1;
          if (this.stop.signal.aborted) return;
          say(`${name} (process ${String(pid)}) ended: ${ending}; ${leftOf(left)}`);
          if (left === 0) resolve(1);
        });
      }
    });
    return told;
  }

  /** The shell between npm and this process passes no signal on: its end counts as one. */
  private async watchParent(parent: number): Promise<void> {
    if (process.env['npm_lifecycle_event'] === undefined) return;
    while (!this.stop.signal.aborted) {
      await systemClock.sleep(LOOK_MS, this.stop.signal).catch(() => undefined);
      if (process.ppid !== parent) this.onSignal();
    }
  }

  private onSignal(): void {
    const now = systemClock.monotonicMs();
    if (now - this.signalledAt < SAME_SIGNAL_MS) return;
    const isFirst = !this.stop.signal.aborted;
    this.signalledAt = now;
    if (isFirst) {
      say('Stopping: the nodes finish or hand back what runs. Ctrl-C again to kill them.');
      this.stop.abort(new Error('stopped'));
    } else {
      this.isForced = true;
      this.signalAll('SIGKILL');
    }
  }

  private async shutDown(): Promise<void> {
    this.signalAll(this.isForced ? 'SIGKILL' : 'SIGTERM');
    const giveUp = systemClock.after(DRAIN_MS, () => {
      say('Some nodes have not drained in 30 s: killing them.');
      this.signalAll('SIGKILL');
    });
    await Promise.all(this.members.map(({ process: node }) => node.ended));
    giveUp();
    await Promise.allSettled(this.followers);
    if (this.database === undefined) return;
    try {
      const isStopped = await this.database.stopIfUnused();
      say(
        isStopped
          ? `Stopped; the data stays in ${this.database.home}.`
          : 'Nodes are stopped; the database goes on, because others are connected to it.',
      );
    } catch (error) {
      say(`Nodes are stopped; the database is not: ${toError(error).message}`);
    }
  }

  private signalAll(signal: 'SIGTERM' | 'SIGKILL'): void {
    for (const { process: node } of this.members) if (!node.hasEnded()) node.child.kill(signal);
  }
}

function leftOf(count: number): string {
  if (count === 0) return 'none is left';
  return count === 1 ? '1 node is left' : `${String(count)} nodes are left`;
}

function flagsOf(options: StartOptions, name: string, ports: Ports): readonly string[] {
  const { node, verbose } = options;
  return [
    ...['--name', name],
    ...['--http-port', String(ports.http), '--grpc-port', String(ports.grpc)],
    ...['--slots', String(node.slots)],
    ...(node.simulate ? ['--simulate'] : []),
    ...(node.handlersDir === null ? [] : ['--handlers', node.handlersDir]),
    ...['--handler-memory-mb', String(node.handlerMemoryMb)],
    ...['--log-format', 'json', '--log-level', verbose ? 'debug' : node.logLevel],
  ];
}

/** Everything but what is another one's for each node, or a secret that travels under our name. */
function environmentOf(
  options: StartOptions,
  databaseUrl: string,
): Readonly<Record<string, string | undefined>> {
  const kept = Object.entries(process.env).filter(([name]) => !NOT_PASSED_ON.has(name));
  return {
    ...Object.fromEntries(kept),
    SKEIN_DATABASE_URL: databaseUrl,
    SKEIN_SIMULATE: String(options.node.simulate),
    SKEIN_HTTP_ALLOW: options.node.httpAllow.join(','),
    SKEIN_ALLOW_SHELL: String(options.node.allowShell),
  };
}

const NOT_PASSED_ON: ReadonlySet<string> = new Set([
  'DATABASE_URL',
  'SKEIN_ADVERTISE_HTTP_URL',
  'SKEIN_ADVERTISE_GRPC_ADDRESS',
]);

/** Everything but the first screen and the line of --json: stdout is theirs. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function isColoured(): boolean {
  return process.stdout.isTTY && (process.env['NO_COLOR'] ?? '') === '';
}

async function main(): Promise<number> {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  let options: StartOptions;
  try {
    options = parseStartOptions(args, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    for (const fault of error.faults) say(fault);
    return 2;
  }
  return new Launcher(options).run();
}

process.exitCode = await main();
