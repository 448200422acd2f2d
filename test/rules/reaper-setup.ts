import type { SchedulerEvent } from '../../node/core/events.ts';
import { LAN } from '../../node/core/timings.ts';
import { DatabaseClock } from '../../node/leader/database-clock.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { NodeRow, ProcessesPort, ReaderPort, WriterPort } from '../../node/leader/ports.ts';
import { Reaper } from '../../node/leader/reaper.ts';
import type { Roster } from '../../node/leader/roster.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { ModelClock } from '../scheduler/model-clock.ts';
import { seededRng } from '../support/seeded-rng.ts';

export const NODE_ROW: NodeRow = {
  ...{ nodeId: 1, name: 'node-1', state: 'alive', isExpired: true, leaseUntilMs: 5 },
  ...{ bootId: 'b', pidNamespace: 'n', pid: 1, pidStarted: '1', processGroups: [] },
  isDrainAsked: false,
};

/** The reaper of a new leader before a table with one node, which holds a lease and is not linked. */
export class Graveyard {
  readonly clock = new ModelClock();
  row: NodeRow = NODE_ROW;
  buriedAtMs = -1;
  isProven: boolean | undefined;
  reads = 0;
  /** Heartbeats that wait for their answer, and the answers: node, number, whether it was renewed. */
  due: ReadonlyMap<number, number> = new Map();
  /** Node, and whether it is to take no more work. */
  readonly orders: (readonly [number, boolean])[] = [];
  readonly answers: (readonly [number, number, boolean])[] = [];
  /** What the database answers to a renewal. */
  renewed: readonly { readonly nodeId: number; readonly leaseUntilMs: number }[] = [];
  private readonly controller = new AbortController();
  private readonly mailbox = new Mailbox(this.clock);
  private readonly running: Promise<void>;

  constructor(processes: Partial<ProcessesPort> = {}) {
    const { clock, mailbox } = this;
    const reader = {
      nodes: () => {
        this.reads += 1;
        return Promise.resolve([this.row]);
      },
    };
    const writer = {
      buryNode: (_nodeId: number, isProven: boolean) => {
        if (this.buriedAtMs === -1) this.buriedAtMs = clock.nowMs;
        this.isProven ??= isProven;
        this.row = { ...this.row, state: 'dead' };
        return Promise.resolve(true);
      },
      addEvent: () => Promise.resolve(),
    };
    const roster = {
      isLinked: () => false,
      silentFor: () => [],
      order: (...order: readonly [number, boolean]) => this.orders.push(order),
      takeHeartbeats: () => {
        const { due } = this;
        this.due = new Map();
        return due;
      },
      answer: (...answer: readonly [number, number, boolean]) => this.answers.push(answer),
    };
    const reaper = new Reaper({
      ...{ clock, mailbox, rng: seededRng(1), timings: LAN, holders: () => [1] },
      ...{ isDeposedError: () => false, onDeposed: () => undefined },
      unanswered: new Unanswered(clock),
      log: { debug: () => 0, info: () => 0, warn: () => 0, error: () => 0 },
      leadership: { term: 1, signal: this.controller.signal, isTrusted: () => true },
      databaseClock: new DatabaseClock(clock),
      processes: { isProvenDead: () => false, killGroup: () => true, ...processes },
      renewer: { renewMany: () => Promise.resolve(this.renewed) },
      reader: reader as unknown as ReaderPort,
      writer: writer as unknown as WriterPort,
      roster: roster as unknown as Roster,
    });
    this.running = reaper.run();
  }

  /** What the loop has been told since the last call. */
  get events(): readonly SchedulerEvent[] {
    const { events, done } = this.mailbox.take();
    done();
    return events;
  }

  async pass(ms: number): Promise<void> {
    const { clock } = this;
    for (const endMs = clock.nowMs + ms; clock.nowMs < endMs; clock.advance()) await turn();
    await turn();
  }

  async end(): Promise<void> {
    this.controller.abort();
    await this.running;
  }
}

/** Everything that was set going comes to its next await. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
