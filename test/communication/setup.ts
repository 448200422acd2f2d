import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { systemClock } from '../../node/base/clock.ts';
import type { Clock } from '../../node/base/clock.ts';
import type { FromLeader, FromNode, Hello } from '../../node/core/messages.ts';
import { dialLeader } from '../../node/rpc/leader-link.ts';
import type { DialOptions, LinkToLeader } from '../../node/rpc/leader-link.ts';
import { PeerServer } from '../../node/rpc/peer-server.ts';
import type { LinkToNode, PeerServerOptions } from '../../node/rpc/peer-server.ts';
import type { LinkLog } from '../../node/rpc/ports.ts';

/** Messages of a link as they arrive, to be awaited by what they are rather than by time. */
export class Inbox<T> {
  readonly all: T[] = [];
  private readonly waiters = new Set<() => void>();

  add(item: T): void {
    this.all.push(item);
    for (const waiter of [...this.waiters]) waiter();
  }

  /** Resolves with everything as soon as there are `count`; the test's own limit ends the wait. */
  async atLeast(count: number): Promise<readonly T[]> {
    await new Promise<void>((resolve) => {
      const waiter = (): void => {
        if (this.all.length < count) return;
        this.waiters.delete(waiter);
        resolve();
      };
      this.waiters.add(waiter);
      waiter();
    });
    return this.all;
  }

  async first(): Promise<T> {
    return (await this.atLeast(1))[0] as T;
  }
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function recordingLog(): { readonly log: LinkLog; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string): LinkLog['info'] =>
    (message, fields) => {
      lines.push({ level, message, fields: fields ?? {} });
    };
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  return { log, lines };
}

/** Timers of a clock that fire when the test says so, and tell when they are taken back. */
export function manualTimers() {
  const timers: { readonly ms: number; readonly fire: () => void; isCancelled: boolean }[] = [];
  const cancelled = new Inbox<number>();
  const clock: Clock = {
    ...systemClock,
    after: (ms, action) => {
      const timer = { ms, fire: action, isCancelled: false };
      timers.push(timer);
      return () => {
        if (!timer.isCancelled) cancelled.add(ms);
        timer.isCancelled = true;
      };
    },
  };
  const fire = (ms: number): void => {
    for (const timer of timers) if (timer.ms === ms && !timer.isCancelled) timer.fire();
  };
  return { clock, cancelled, fire };
}

export const HELLO: Hello = {
  database: '7612345678901234567/2',
  leaseMs: 10_000,
  protocol: 1,
  protocolMin: 1,
  nodeId: 7,
  incarnation: '5a0f1f0e-57a4-4a40-9f0b-5f9a3c8c2f11',
  name: 'node-2',
  slots: 16,
  types: ['noop', 'sleep'],
  labels: ['zone=eu'],
  simulates: true,
  version: '0.1.0',
  termSeen: 3,
};

/** The leader's side of one accepted link. */
export interface Accepted {
  readonly link: LinkToNode;
  readonly messages: Inbox<FromNode>;
  readonly closed: Inbox<true>;
}

/** The node's side of one dialled link. */
export interface Dialled {
  readonly link: LinkToLeader;
  readonly messages: Inbox<FromLeader>;
  readonly closed: Inbox<string>;
}

/** A server, and a way to dial it; `tearDown` leaves nothing open, and counts the ends of links. */
export async function setup(options: Partial<PeerServerOptions> = {}) {
  const { log, lines } = recordingLog();
  const accepted = new Inbox<Accepted>();
  const dialled: Dialled[] = [];
  const server = new PeerServer({
    host: '127.0.0.1',
    port: 0,
    log,
    accept: (link) => {
      const messages = new Inbox<FromNode>();
      const closed = new Inbox<true>();
      accepted.add({ link, messages, closed });
      return {
        onMessage: (message) => {
          messages.add(message);
        },
        onClosed: () => {
          closed.add(true);
        },
      };
    },
    ...options,
  });
  const { port } = await server.start();

  const dial = (overrides: Partial<DialOptions> = {}): Dialled => {
    const messages = new Inbox<FromLeader>();
    const closed = new Inbox<string>();
    const link = dialLeader({
      address: `127.0.0.1:${String(port)}`,
      hello: HELLO,
      connectTimeoutMs: 5000,
      clock: systemClock,
      log,
      onMessage: (message) => {
        messages.add(message);
      },
      onClosed: (reason) => {
        closed.add(reason);
      },
      ...overrides,
    });
    dialled.push({ link, messages, closed });
    return { link, messages, closed };
  };

  const tearDown = async (): Promise<void> => {
    for (const { link } of dialled) link.close();
    await server.stop(1000);
    await Promise.all([...dialled, ...accepted.all].map(({ closed }) => closed.first()));
    await nextTurn();
    for (const { closed } of [...dialled, ...accepted.all]) expect(closed.all).to.have.length(1);
  };
  return { server, port, accepted, dial, lines, tearDown };
}

export type Setup = Awaited<ReturnType<typeof setup>>;
