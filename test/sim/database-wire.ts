import type { LockSession, SelfIdentity } from '../../node/cluster/ports.ts';
import { toNodeId, toTerm, type Term } from '../../node/base/ids.ts';
import type { LeaderView } from '../../node/core/election-events.ts';
import type { Timings } from '../../node/core/timings.ts';
import type { Row, Statement } from '../../node/store/pipeline.ts';
import type { Connection } from '../../node/surroundings.ts';
import type { Path } from './path.ts';
import type { SimServer } from './postgres/server.ts';
import type { Answer, SimSession } from './postgres/session.ts';
import type { SimProcess } from './process.ts';

/** The way from one process to the server and back. */
export interface DatabaseRoute {
  readonly owner: string;
  readonly process: SimProcess;
  readonly server: SimServer;
  readonly toServer: Path;
  readonly toClient: Path;
}

interface Asked {
  readonly name: string;
  readonly values: readonly unknown[];
  readonly answer: (answer: Answer) => void;
}

/** One connection of a process, from its dial to its end; used once. */
class Socket {
  isOver = false;
  private readonly route: DatabaseRoute;
  private readonly onOver: (reason: string) => void;
  private readonly out;
  private readonly back;
  private readonly takeBackExit: () => void;
  private session: SimSession | undefined;
  private unsent: Asked[] | undefined = [];
  private unanswered: Asked[] = [];

  constructor(
    route: DatabaseRoute,
    options: { readonly statementTimeoutMs: number; readonly idleTimeoutMs?: number },
    onOver: (reason: string) => void,
  ) {
    this.route = route;
    this.onOver = onOver;
    const cut = (): void => {
      // The server's side of a connection that is cut ends as well.
      this.session?.reset();
      this.route.process.deliver(() => {
        this.over('the connection was reset');
      });
    };
    this.out = route.toServer.open(cut);
    this.back = route.toClient.open(cut);
    this.takeBackExit = route.process.onExit(() => {
      this.hangUp();
    });
    this.out.send(() => {
      this.reach(options);
    });
  }

  get isConnected(): boolean {
    return this.unsent === undefined;
  }

  ask(asked: Asked): void {
    if (this.unsent !== undefined) {
      this.unsent.push(asked);
      return;
    }
    this.unanswered.push(asked);
    this.out.send(() => {
      this.session?.execute(asked.name, asked.values, (answer) => {
        this.back.send(() => {
          this.route.process.deliver(() => {
            this.onAnswer(asked, answer);
          });
        });
      });
    });
  }

  /** By this side: nothing that is under way is heard of any more. */
  destroy(reason: string): void {
    if (this.isOver) return;
    this.hangUp();
    this.over(reason);
  }

  /** The server learns of it as soon as the path lets it, or by its own keepalive. */
  private hangUp(): void {
    this.back.close();
    this.out.send(() => {
      this.session?.abandon();
      this.out.close();
    });
  }

  private reach(options: { statementTimeoutMs: number; idleTimeoutMs?: number }): void {
    const { server, process } = this.route;
    this.session = server.connect({
      owner: this.route.owner,
      statementTimeoutMs: options.statementTimeoutMs,
      onEnded: (reason) => {
        this.back.send(() => {
          process.deliver(() => {
            this.over(reason);
          });
        });
      },
    });
    if (options.idleTimeoutMs !== undefined) this.session?.setIdleTimeout(options.idleTimeoutMs);
    const isRefused = this.session === undefined;
    this.back.send(() => {
      process.deliver(() => {
        if (isRefused) this.over('connect ECONNREFUSED');
        else this.onConnected();
      });
    });
  }

  private onConnected(): void {
    const unsent = this.unsent ?? [];
    this.unsent = undefined;
    for (const asked of unsent) this.ask(asked);
  }

  private onAnswer(asked: Asked, answer: Answer): void {
    if (this.isOver) return;
    this.unanswered = this.unanswered.filter((other) => other !== asked);
    asked.answer(answer);
  }

  private over(reason: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.takeBackExit();
    this.back.close();
    const open = [...this.unanswered, ...(this.unsent ?? [])];
    this.unanswered = [];
    this.unsent = [];
    for (const { answer } of open) answer({ error: new Error(reason) });
    this.onOver(reason);
  }
}

const CONNECT_MS = 3000;
const ANSWER_MARGIN_MS = 500;

/** As node/store/pipeline.ts: opens itself, loses itself, and every statement has a deadline. */
export class SimConnection implements Connection {
  private readonly route: DatabaseRoute;
  private readonly statementTimeoutMs: number;
  private socket: Socket | undefined;
  private isClosed = false;

  constructor(route: DatabaseRoute, statementTimeoutMs: number) {
    this.route = route;
    this.statementTimeoutMs = statementTimeoutMs;
  }

  query({ name }: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    if (this.isClosed) return Promise.reject(new Error('the connection is closed'));
    const socket = this.open();
    return new Promise((resolve, reject) => {
      const deadlineMs =
        this.statementTimeoutMs + ANSWER_MARGIN_MS + (socket.isConnected ? 0 : CONNECT_MS);
      const cancel = this.route.process.clock.after(deadlineMs, () => {
        socket.destroy('no answer in time');
      });
      const answer = (found: Answer): void => {
        cancel();
        if ('error' in found) reject(found.error);
        else resolve(found.rows);
      };
      socket.ask({ name, values, answer });
    });
  }

  close(): Promise<void> {
    this.isClosed = true;
    this.socket?.destroy('closed by this node');
    return Promise.resolve();
  }

  private open(): Socket {
    if (this.socket !== undefined && !this.socket.isOver) return this.socket;
    const { statementTimeoutMs } = this;
    this.socket = new Socket(this.route, { statementTimeoutMs }, () => undefined);
    return this.socket;
  }
}

const FOLLOWER_IDLE_PAUSES = 10;
const STATEMENT_TIMEOUT_MS = 500;

/** As node/store/lock-session.ts: used once, and any error or late answer ends it. */
export class SimLockSession implements LockSession {
  readonly ended: Promise<string>;
  private readonly route: DatabaseRoute;
  private readonly timings: Timings;
  private readonly tellEnded: (reason: string) => void;
  private socket: Socket | undefined;
  private isOver = false;

  constructor(route: DatabaseRoute, timings: Timings) {
    this.route = route;
    this.timings = timings;
    let tell: (reason: string) => void = () => undefined;
    this.ended = new Promise((resolve) => {
      tell = resolve;
    });
    this.tellEnded = tell;
  }

  async open(): Promise<void> {
    if (this.isOver) throw new Error('the session is over');
    const idleTimeoutMs = FOLLOWER_IDLE_PAUSES * this.timings.followMs;
    const statementTimeoutMs = STATEMENT_TIMEOUT_MS;
    this.socket = new Socket(this.route, { statementTimeoutMs, idleTimeoutMs }, (reason) => {
      this.isOver = true;
      this.tellEnded(reason);
    });
    await this.ask('lock-session.read', []);
  }

  async tryLock(): Promise<{ taken: boolean; view: LeaderView | null }> {
    const row = await this.ask('lock-session.try', [1, 1, this.timings.lockIdleMs]);
    return { taken: row[0] as boolean, view: viewOf(row.slice(1)) };
  }

  async bumpTerm(above: Term, leader: SelfIdentity): Promise<LeaderView> {
    const { nodeId, name, grpcAddress, httpUrl } = leader;
    const view = viewOf(
      await this.ask('lock-session.bump', [above, nodeId, name, grpcAddress, httpUrl]),
    );
    if (view === null) throw new Error('the term row names no leader after the bump');
    return view;
  }

  async readTerm(): Promise<LeaderView | null> {
    return viewOf(await this.ask('lock-session.read', []));
  }

  destroy(): void {
    this.isOver = true;
    if (this.socket === undefined) this.tellEnded('closed by this node');
    else this.socket.destroy('closed by this node');
  }

  private ask(name: string, values: readonly unknown[]): Promise<Row> {
    const { socket } = this;
    if (socket === undefined || socket.isOver)
      return Promise.reject(new Error('the session is over'));
    return new Promise((resolve, reject) => {
      const cancel = this.route.process.clock.after(this.timings.selfDemoteMs, () => {
        socket.destroy(`${name} had no answer in time`);
      });
      const answer = (found: Answer): void => {
        cancel();
        const row = 'rows' in found ? found.rows[0] : undefined;
        if (row !== undefined) {
          resolve(row);
          return;
        }
        const error = 'error' in found ? found.error : new Error(`${name} found no row`);
        socket.destroy(error.message);
        reject(error);
      };
      socket.ask({ name, values, answer });
    });
  }
}

function viewOf(row: Row): LeaderView | null {
  const [term, nodeId, name, grpcAddress, httpUrl] = row;
  if (nodeId === null || nodeId === undefined) return null;
  return {
    term: toTerm(term as number),
    nodeId: toNodeId(nodeId as number),
    name: name as string,
    grpcAddress: grpcAddress as string,
    httpUrl: httpUrl as string,
  };
}
