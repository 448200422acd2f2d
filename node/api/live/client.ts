import type { WebSocket } from 'ws';
import type { Caller } from '../../core/access.ts';
import type { LiveTopic } from './topic.ts';
import { toAppError } from '../problem.ts';

/**
 * One client of `/ws`: what it watches, and how far it knows it. Nothing is queued for it: each turn
 * sends what is new of each of its views, and nothing at all while what was sent before has not left
 * this machine. So a slow client skips what it would only throw away, and gets the latest.
 */
export interface Subscription {
  readonly topic: LiveTopic;
  /** The last sequence number that was sent; null where it needs a snapshot. */
  seq: number | null;
  /** What it was told to be wrong; null where nothing is. */
  fault: string | null;
  /** Nothing was sent yet, not even that nothing was missed. */
  isNew: boolean;
}

/** Bytes that may lie in memory for one client before it is passed over. */
const BUFFERED_MAX = 256 * 1024;
/** Messages of a client within a second; more is no page of ours. */
const MESSAGES_MAX = 50;

export class LiveClient {
  readonly subscriptions = new Map<string, Subscription>();
  readonly #socket: WebSocket;
  readonly #epoch: string;
  readonly caller: Caller;
  readonly #admit: () => Promise<Caller>;
  /** Set by a ping that was not answered yet. */
  isUnanswered = false;
  #messages = 0;
  #countedFromMs = 0;

  /** Who it is; `admit` asks once more whether they may be here. */
  constructor(
    socket: WebSocket,
    epoch: string,
    caller: Caller,
    admit: () => Promise<Caller> = () => Promise.resolve(caller),
  ) {
    this.#socket = socket;
    this.#epoch = epoch;
    this.caller = caller;
    this.#admit = admit;
  }

  /** Ends the connection of a key that is not valid any more; a database that is away proves nothing. */
  async maybeExpel(): Promise<void> {
    try {
      await this.#admit();
    } catch (thrown) {
      const { httpStatus, message } = toAppError(thrown);
      if (httpStatus === 401 || httpStatus === 403) this.close(1008, message.slice(0, 120));
    }
  }

  /** False for the message that is one too many. */
  mayTalk(nowMs: number): boolean {
    if (nowMs - this.#countedFromMs > 1000) {
      this.#countedFromMs = nowMs;
      this.#messages = 0;
    }
    this.#messages += 1;
    return this.#messages <= MESSAGES_MAX;
  }

  get isBehind(): boolean {
    return this.#socket.bufferedAmount > BUFFERED_MAX;
  }

  say(message: object): void {
    if (!this.isBehind) this.#send(JSON.stringify(message));
  }

  /** Brings all its views up to date, as far as the topics are. */
  flush(): void {
    for (const [sub, subscription] of this.subscriptions) {
      if (this.isBehind) return;
      this.#flushOne(sub, subscription);
    }
  }

  ping(): void {
    this.isUnanswered = true;
    this.#socket.ping();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  #flushOne(sub: string, subscription: Subscription): void {
    const { topic } = subscription;
    const head = `"sub":${JSON.stringify(sub)},"epoch":"${this.#epoch}"`;
    const fault = topic.fault === null ? null : JSON.stringify(topic.fault);
    if (fault !== null) {
      if (subscription.fault !== fault) this.#send(`{"type":"fault",${head},"fault":${fault}}`);
      subscription.fault = fault;
      return;
    }
    const { state } = topic;
    const isNews = subscription.seq !== state.seq || subscription.fault !== null;
    if (!state.hasView || !(isNews || subscription.isNew)) return;
    const delta = subscription.seq === null ? null : state.since(subscription.seq);
    if (delta === null) this.#send(`{"type":"snapshot",${head},${state.snapshot()}}`);
    else this.#send(`{"type":"delta",${head},${delta}}`);
    subscription.seq = state.seq;
    subscription.fault = null;
    subscription.isNew = false;
  }

  #send(text: string): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(text);
  }
}
