import type { Clock, Rng } from '../base/clock.ts';
import type {
  Aborts,
  Ask,
  Follow,
  FromLeader,
  FromNode,
  Grants,
  Heartbeat,
  News,
  Prospected,
  Recall,
  Submitted,
} from '../core/messages.ts';
import type { LiveRows } from '../core/events.ts';
import { TriggerRule } from '../core/task.ts';
import type { Mailbox } from './mailbox.ts';
import type { Leadership, LinkHandlers, LinkToNode, LogPort, ReaderPort } from './ports.ts';
import { persist, untilDone, type RetryDeps } from './until-done.ts';

/**
 * The streams of the nodes, one per incarnation: what comes in becomes an event, what the scheduler
 * wants sent goes out. A node is a member from the moment its types are known; its first inventory is
 * judged after that, because both travel through the mailbox in their order.
 *
 * An inventory may be older than a grant that was sent meanwhile, or that is committed and about to be
 * sent. So each message with grants is remembered, with the step of the scheduler that wanted it, until
 * the node says that it has processed it; and an inventory is posted with the last step that it can
 * speak of (rule 8).
 */
export interface RosterDeps extends RetryDeps {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: LogPort;
  readonly reader: ReaderPort;
  readonly leadership: Leadership;
  readonly mailbox: Mailbox;
  readonly onLook: () => void;
  readonly onUnlinked: () => void;
  readonly onNodesChanged: () => void;
  /** What the scheduler knows, without a step of it. */
  readonly prospect: (ask: Ask) => Prospected;
  /** What a node wants to be told of; null where it is gone. */
  readonly onFollow: (nodeId: number, follow: Follow | null) => void;
}

interface Seat {
  readonly link: LinkToNode;
  readonly watched: Set<number>;
  /** Messages with grants that the node has not processed, oldest first, and their steps. */
  unprocessed: { readonly number: number; readonly step: number }[];
  /** Frames before the node is a member, in their order. */
  early: FromNode[] | undefined;
  /** The number of its last heartbeat that is not answered yet; 0 for none. */
  heartbeatDue: number;
  /** The number of its last heartbeat, answered or not. */
  lastHeartbeat: number;
  isDraining: boolean;
  lastHeardMs: number;
}

/** Waits of one node that the leader keeps; beyond it the node's own poll serves. */
const WATCHED_MAX = 100_000;
/** Frames that a node may send before its membership is known. */
const EARLY_MAX = 1000;

export class Roster {
  private readonly deps: RosterDeps;
  private readonly seats = new Map<number, Seat>();
  /** Task → the nodes whose clients wait for its end. */
  private readonly watchers = new Map<number, Set<number>>();
  /** The last step of the scheduler whose messages have all been handed to the streams. */
  sentThrough = 0;
  private isClosed = false;

  constructor(deps: RosterDeps) {
    this.deps = deps;
  }

  accept(link: LinkToNode): LinkHandlers | { readonly refused: string } {
    if (this.isClosed || this.deps.leadership.signal.aborted) return { refused: 'not the leader' };
    const { nodeId } = link.hello;
    const seat: Seat = {
      link,
      watched: new Set(),
      unprocessed: [],
      early: [],
      heartbeatDue: 0,
      lastHeartbeat: 0,
      isDraining: false,
      lastHeardMs: this.deps.clock.monotonicMs(),
    };
    const older = this.seats.get(nodeId);
    this.seats.set(nodeId, seat);
    if (older !== undefined) {
      // Now and not when it has closed: by then the node has subscribed anew.
      this.forgetWatches(nodeId, older);
      older.link.close();
    }
    this.send(seat, {});
    void untilDone(this.deps.leadership.signal, () => this.admit(nodeId, seat)).catch(
      (thrown: unknown) => {
        this.deps.onDeposed(`a node could not be admitted: ${String(thrown)}`);
      },
    );
    return {
      onMessage: (message) => {
        this.onMessage(nodeId, seat, message);
      },
      onClosed: () => {
        this.onClosed(nodeId, seat);
      },
    };
  }

  get counts(): { readonly alive: number; readonly draining: number } {
    let draining = 0;
    for (const seat of this.seats.values()) if (seat.isDraining) draining += 1;
    return { alive: this.seats.size - draining, draining };
  }

  /** Whether no node has a stream to this leader. */
  get isEmpty(): boolean {
    return this.seats.size === 0;
  }

  isLinked(nodeId: number): boolean {
    return this.seats.has(nodeId);
  }

  /** Nodes whose stream is up and which have said nothing for `ms`. */
  silentFor(ms: number): readonly number[] {
    const nowMs = this.deps.clock.monotonicMs();
    return [...this.seats].filter(([, s]) => nowMs - s.lastHeardMs > ms).map(([nodeId]) => nodeId);
  }

  /** Nodes whose heartbeat is to be answered, each with the number of its last one. */
  takeHeartbeats(): ReadonlyMap<number, number> {
    const due = new Map<number, number>();
    for (const [nodeId, seat] of this.seats) {
      if (seat.heartbeatDue > 0) due.set(nodeId, seat.heartbeatDue);
      seat.heartbeatDue = 0;
    }
    return due;
  }

  answer(nodeId: number, number: number, renewed: boolean): void {
    const seat = this.seats.get(nodeId);
    if (seat !== undefined) this.send(seat, { answer: { number, renewed } });
  }

  sendGrants(nodeId: number, grants: Grants, step: number): void {
    const seat = this.seats.get(nodeId);
    // A node that is gone does not miss them: its next inventory, or its end, frees them.
    if (seat === undefined || !this.deps.leadership.isTrusted()) return;
    const number = this.send(seat, { grants });
    seat.unprocessed.push({ number, step });
  }

  sendRecall(nodeId: number, recall: Recall): void {
    const seat = this.seats.get(nodeId);
    if (seat !== undefined) this.send(seat, { recall });
  }

  sendAborts(nodeId: number, aborts: Aborts): void {
    const seat = this.seats.get(nodeId);
    if (seat !== undefined) this.send(seat, { aborts: [aborts] });
  }

  tellEnded(seqs: readonly number[], codes: readonly number[]): void {
    if (this.watchers.size === 0) return;
    const perNode = new Map<number, { seqs: number[]; codes: number[] }>();
    for (const [at, seq] of seqs.entries()) {
      for (const nodeId of this.watchers.get(seq) ?? []) {
        const columns = perNode.get(nodeId) ?? { seqs: [], codes: [] };
        perNode.set(nodeId, columns);
        columns.seqs.push(seq);
        columns.codes.push(codes[at] as number);
        this.seats.get(nodeId)?.watched.delete(seq);
      }
      this.watchers.delete(seq);
    }
    for (const [nodeId, ended] of perNode) {
      const seat = this.seats.get(nodeId);
      if (seat !== undefined) this.send(seat, { ended });
    }
  }

  /** Tells a node whether to take no more work, where it does otherwise. */
  order(nodeId: number, isOn: boolean): void {
    const seat = this.seats.get(nodeId);
    const isOther = seat !== undefined && seat.lastHeartbeat > 0 && seat.isDraining !== isOn;
    if (isOther) this.send(seat, { drain: { isOn } });
  }

  tellNews(nodeId: number, news: News): void {
    const seat = this.seats.get(nodeId);
    if (seat !== undefined) this.send(seat, { news });
  }

  /** A word on every stream: a leader that falls silent is taken for frozen. */
  beat(): void {
    for (const seat of this.seats.values()) this.send(seat, {});
  }

  /** The end of the term: every node is told to look for the next leader at once. */
  closeAll(): void {
    this.isClosed = true;
    for (const seat of this.seats.values()) {
      this.send(seat, { goodbye: true });
      seat.link.close();
    }
    this.seats.clear();
    this.watchers.clear();
  }

  private async admit(nodeId: number, seat: Seat): Promise<void> {
    const { hello } = seat.link;
    const { leadership, reader, mailbox, log } = this.deps;
    const handled = await persist(this.deps, leadership.signal, 'types', () =>
      reader.handledTypes(),
    );
    if (this.seats.get(nodeId) !== seat) return;
    const typeIds = hello.types.flatMap((type) => handled.get(type) ?? []);
    const { slots, simulates, labels = [] } = hello;
    mailbox.post(
      { kind: 'types-handled', typeIds: [...handled.values()] },
      { kind: 'node-joined', member: { nodeId, slots, typeIds, simulates, labels } },
    );
    log.info('A node joined.', { node: hello.name, node_id: nodeId, slots });
    const early = seat.early ?? [];
    seat.early = undefined;
    for (const message of early) this.onMessage(nodeId, seat, message);
  }

  private onMessage(nodeId: number, seat: Seat, message: FromNode): void {
    const { mailbox, clock } = this.deps;
    // What a node has said on a stream that it left is older than what it says on the next one.
    if (this.seats.get(nodeId) !== seat) return;
    seat.lastHeardMs = clock.monotonicMs();
    if (message.look === true) this.deps.onLook();
    if (message.nodesChanged === true) this.deps.onNodesChanged();
    if (seat.early !== undefined) {
      if (seat.early.length < EARLY_MAX) seat.early.push(message);
      else seat.link.close();
      return;
    }
    const { told, heartbeat } = message;
    if (told !== undefined) {
      mailbox.post({ kind: 'outcomes-settled', nodeId, told });
      this.send(seat, { toldThrough: told.number });
    }
    if (heartbeat !== undefined) this.onHeartbeat(nodeId, seat, heartbeat);
    if (message.submitted !== undefined) {
      mailbox.post({ kind: 'tasks-loaded', rows: rowOf(message.submitted) });
    }
    if (message.ask !== undefined) this.send(seat, { prospect: this.deps.prospect(message.ask) });
    if (message.follow !== undefined) this.deps.onFollow(nodeId, message.follow);
    for (const seq of message.watch ?? []) this.watch(nodeId, seat, seq);
    for (const seq of message.unwatch ?? []) this.unwatch(nodeId, seat, seq);
  }

  private onHeartbeat(nodeId: number, seat: Seat, heartbeat: Heartbeat): void {
    // An inventory of before must not speak of what was granted since (rule 8).
    if (heartbeat.number <= seat.lastHeartbeat) return;
    seat.lastHeartbeat = heartbeat.number;
    seat.heartbeatDue = heartbeat.number;
    seat.isDraining = heartbeat.draining;
    seat.unprocessed = seat.unprocessed.filter(({ number }) => number > heartbeat.processed);
    const [oldest] = seat.unprocessed;
    const throughStep = oldest === undefined ? this.sentThrough : oldest.step - 1;
    this.deps.mailbox.post({ kind: 'inventory-received', nodeId, heartbeat, throughStep });
  }

  private watch(nodeId: number, seat: Seat, seq: number): void {
    if (seat.watched.size >= WATCHED_MAX) return;
    seat.watched.add(seq);
    const nodes = this.watchers.get(seq);
    if (nodes === undefined) this.watchers.set(seq, new Set([nodeId]));
    else nodes.add(nodeId);
  }

  private unwatch(nodeId: number, seat: Seat, seq: number): void {
    seat.watched.delete(seq);
    const nodes = this.watchers.get(seq);
    nodes?.delete(nodeId);
    if (nodes?.size === 0) this.watchers.delete(seq);
  }

  private forgetWatches(nodeId: number, seat: Seat): void {
    for (const seq of seat.watched) this.unwatch(nodeId, seat, seq);
    this.deps.onFollow(nodeId, null);
  }

  private onClosed(nodeId: number, seat: Seat): void {
    if (this.seats.get(nodeId) !== seat) return;
    this.forgetWatches(nodeId, seat);
    this.seats.delete(nodeId);
    if (this.isClosed) return;
    this.deps.mailbox.post({ kind: 'node-unlinked', nodeId });
    this.deps.log.info('The stream of a node closed.', {
      node: seat.link.hello.name,
      node_id: nodeId,
    });
    this.deps.onUnlinked();
  }

  private send(seat: Seat, frame: Omit<FromLeader, 'number' | 'term'>): number {
    return seat.link.send({ term: this.deps.leadership.term, ...frame });
  }
}

/** As it was committed: unleased, and it waits for nothing. What has become of it since, its lease shows. */
function rowOf({ seq, typeId, priority, hasDuration, expectedMs }: Submitted): LiveRows {
  return {
    ...{ seqs: [seq], typeIds: [typeId], priorities: [priority], hasDuration: [hasDuration] },
    ...{ triggerRules: [TriggerRule.all_success], expectedMs: [expectedMs], runAtMs: [0] },
    ...{ leaseSeqs: [0], nodeIds: [0], attempts: [0], losses: [0], cancels: [false], deps: [[]] },
    expiresAtMs: [0],
    labels: [null],
  };
}
