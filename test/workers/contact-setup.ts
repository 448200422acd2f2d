import { LeaderContact, type LeaderStream } from '../../node/cluster/leader-contact.ts';
import { AbortReason, SettledAs } from '../../node/core/messages.ts';
import type { FromLeader, FromNode, Grants, Hello } from '../../node/core/messages.ts';
import { LAN } from '../../node/core/timings.ts';
import { FakeClock } from '../support/fake-clock.ts';

/**
 * A contact with the leader on a clock that the test moves, with streams that the test speaks on.
 */
export class FakeStream implements LeaderStream {
  readonly address: string;
  readonly hello: Hello;
  readonly frames: FromNode[] = [];
  isClosed = false;
  heardMs: number;
  private number = 0;
  private readonly onMessage: (message: FromLeader) => void;
  readonly onClosed: (reason: string) => void;
  private readonly clock: FakeClock;

  constructor(
    clock: FakeClock,
    options: Parameters<ConstructorParameters<typeof LeaderContact>[0]['dial']>[0],
  ) {
    this.clock = clock;
    this.address = options.address;
    this.hello = options.hello;
    this.onMessage = options.onMessage;
    this.onClosed = options.onClosed;
    this.heardMs = clock.monotonicMs();
  }

  readonly lastHeardMs = (): number => this.heardMs;

  send(frame: FromNode): void {
    if (!this.isClosed) this.frames.push(frame);
  }

  close(): void {
    this.isClosed = true;
  }

  say(term: number, message: Omit<FromLeader, 'term' | 'number'> = {}): void {
    this.number += 1;
    this.repeat(term, this.number, message);
  }

  /** A frame of any number, as a network that holds frames back or doubles them would deliver. */
  repeat(term: number, number: number, message: Omit<FromLeader, 'term' | 'number'> = {}): void {
    this.heardMs = this.clock.monotonicMs();
    this.onMessage({ term, number, ...message });
  }

  /** Answers the last heartbeat. */
  answer(term: number, renewed = true): void {
    this.say(term, { answer: { number: this.heartbeats.at(-1)?.number ?? 0, renewed } });
  }

  get heartbeats() {
    return this.frames.flatMap(({ heartbeat }) => heartbeat ?? []);
  }
}

export function setup({ sinceRegisteredMs = 0 } = {}) {
  const clock = new FakeClock();
  const streams: FakeStream[] = [];
  const calls: string[] = [];
  let inventory = { seqs: [7], leaseSeqs: [3] };
  const renewal = {
    answer: (): Promise<boolean> => Promise.resolve(true),
    times: [] as number[],
  };
  const line = (level: string) => (message: string) => {
    if (level === 'warn' || level === 'error') calls.push(`${level}: ${message}`);
  };
  const answerSeconds: number[] = [];
  const outage: { sinceMs: number | undefined } = { sinceMs: undefined };
  const contact = new LeaderContact({
    clock,
    log: { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') },
    metrics: { heartbeatAnswered: (_kind, seconds) => answerSeconds.push(seconds) },
    timings: LAN,
    hello: {
      nodeId: 1,
      incarnation: 'i',
      name: 'node-1',
      slots: 4,
      types: [],
      simulates: false,
      version: '0',
    },
    registeredMs: clock.monotonicMs() - sinceRegisteredMs,
    dial: (options) => {
      const stream = new FakeStream(clock, options);
      streams.push(stream);
      return stream;
    },
    renew: () => {
      renewal.times.push(clock.monotonicMs());
      return renewal.answer();
    },
    worker: {
      get inventory() {
        return inventory;
      },
      get outageSinceMs() {
        return outage.sinceMs;
      },
      accept: (grants: Grants) => calls.push(`accept ${grants.seqs.join()}`),
      abort: ({ seqs }) => calls.push(`abort ${seqs.join()}`),
      recall: ({ seqs }) => calls.push(`recall ${seqs.join()}`),
      interruptAll: (code) => calls.push(`interruptAll ${code}`),
      markStarted: () => {
        calls.push('markStarted');
        return Promise.reject(new Error('the database is away'));
      },
    },
    setLinkHealthy: (isHealthy) => calls.push(`healthy ${String(isHealthy)}`),
    observeTerm: (term) => calls.push(`term ${String(term)}`),
    onEnded: (seqs) => calls.push(`ended ${seqs.join()}`),
    onTerm: () => calls.push('onTerm'),
    onDrain: (isOn) => calls.push(`drain ${String(isOn)}`),
    onNews: ({ seqs }) => calls.push(`news ${seqs.join()}`),
    onBuried: () => calls.push('buried'),
  });
  const follow = (term: number, grpcAddress = `node-${String(term)}:1`): FakeStream => {
    clock.jump(1000);
    contact.follow({ term, grpcAddress });
    return streams.at(-1) as FakeStream;
  };
  const hold = (...seqs: number[]): void => {
    inventory = { seqs, leaseSeqs: seqs.map(() => 1) };
  };
  const count = (call: string): number => calls.filter((one) => one === call).length;
  return { clock, contact, streams, calls, renewal, follow, hold, count, outage, answerSeconds };
}

export const GRANTS: Grants = { seqs: [1], leaseSeqs: [1], attempts: [0], losses: [0] };
export const ABORTS = { seqs: [1], leaseSeqs: [1], reason: AbortReason.CANCELLED };
export const outcome = (seq: number) => ({
  seq,
  leaseSeq: 1,
  settledAs: SettledAs.COMPLETED,
  nextLeaseSeq: 0,
  attempt: 0,
  runAtMs: 0,
  runMs: 1,
});
