import type { Clock } from '../base/clock.ts';
import type { Effect, SchedulerEvent } from '../core/events.ts';
import { ChangedTo, SettledAs, type Follow, type News } from '../core/messages.ts';

/**
 * What the leader says to nodes at which people watch: which of the tasks that they look at have changed,
 * and how all stand. It hears of every change first, so a page need not wait until its node has asked
 * PostgreSQL.
 *
 *   events, effects of a step ─▶ note ─▶ (at most every WINDOW_MS) ─▶ News to each node that follows
 *
 * What it costs. Nobody follows: one look at a number in each step. Somebody does: one look into a map
 * for each change, and per window and node one message of at most CHANGES_MAX changes. Whatever does not
 * fit is said to be missing, and the node reads it.
 *
 * A change that comes after a quiet moment goes out almost at once; while there is always more, a window
 * is waited for. Every message is a hint: a node that misses one finds the same in PostgreSQL by its
 * poll, and a new leader is asked anew. What was told twice is counted twice here, and nowhere else.
 */
export interface HeraldDeps {
  readonly clock: Clock;
  readonly send: (nodeId: number, news: News) => void;
  readonly standing: () => Pick<News, 'isWhole' | 'queued' | 'holderIds' | 'held'>;
  /** How long some tasks were ready before they were leased, since the last call. */
  readonly takeReadyMs: () => readonly number[];
  readonly onIdle: (isIdle: boolean) => void;
}

interface Follower {
  readonly seqs: Set<number>;
  readonly changes: Map<number, Change>;
  isPartial: boolean;
  /** It is owed a word, changes or not. */
  isDue: boolean;
}

interface Change {
  readonly to: number;
  readonly nodeId: number;
}

const WINDOW_MS = 200;
/** What comes with the first change of a window travels with it. */
const FIRST_MS = 10;
const CHANGES_MAX = 2000;
/** Tasks that one node may follow; what is beyond, it reads. */
const FOLLOWED_MAX = 20_000;
const SAMPLES_MAX = 32;

export class Herald {
  private readonly deps: HeraldDeps;
  private readonly followers = new Map<number, Follower>();
  /** All and only the followed tasks, with those who follow them. */
  private readonly bySeq = new Map<number, Follower[]>();
  private readonly ended = [0, 0, 0, 0];
  private lastSeq = 0;
  private endedSeqs: number[] = [];
  private runMs: number[] = [];
  private hasChanged = false;
  private lastSaidMs = -Infinity;
  private cancelTimer: (() => void) | undefined;

  constructor(deps: HeraldDeps) {
    this.deps = deps;
  }

  /** Whether nobody follows. */
  get isIdle(): boolean {
    return this.followers.size === 0;
  }

  follow(nodeId: number, { isOn, isAnew, seqs, dropped }: Follow): void {
    if (!isOn || isAnew) this.leave(nodeId);
    if (!isOn) return;
    let follower = this.followers.get(nodeId);
    if (follower === undefined) {
      follower = { seqs: new Set(), changes: new Map(), isPartial: false, isDue: true };
      if (this.isIdle) this.deps.onIdle(false);
      this.followers.set(nodeId, follower);
    }
    for (const seq of dropped) this.drop(follower, seq);
    for (const seq of seqs) {
      if (follower.seqs.size >= FOLLOWED_MAX) break;
      if (follower.seqs.has(seq)) continue;
      follower.seqs.add(seq);
      const all = this.bySeq.get(seq);
      if (all === undefined) this.bySeq.set(seq, [follower]);
      else all.push(follower);
    }
    this.speakSoon();
  }

  leave(nodeId: number): void {
    const follower = this.followers.get(nodeId);
    if (follower === undefined) return;
    for (const seq of follower.seqs) this.drop(follower, seq);
    this.followers.delete(nodeId);
    if (!this.isIdle) return;
    this.stop();
    this.deps.onIdle(true);
  }

  /** What came in with a step of the scheduler, and what came of it. */
  note(events: readonly SchedulerEvent[], effects: readonly Effect[]): void {
    for (const event of events) this.noteEvent(event);
    for (const effect of effects) {
      if (effect.kind === 'send-grants') {
        const { nodeId, grants } = effect;
        for (const seq of grants.seqs) this.changed(seq, ChangedTo.RUNNING, nodeId);
        this.hasChanged = true;
      } else if (effect.kind === 'tell-ended') {
        this.noteEnded(effect.seqs, effect.codes);
      }
    }
    if (this.hasChanged) this.speakSoon();
  }

  /** The end of the term. */
  stop(): void {
    this.cancelTimer?.();
    this.cancelTimer = undefined;
  }

  private noteEvent(event: SchedulerEvent): void {
    switch (event.kind) {
      case 'tasks-loaded':
        for (const seq of event.rows.seqs) {
          if (seq > this.lastSeq) this.lastSeq = seq;
          this.changed(seq, ChangedTo.OTHER, 0);
        }
        this.hasChanged = true;
        return;
      case 'leases-ended':
        for (const seq of event.seqs) this.changed(seq, ChangedTo.OTHER, 0);
        this.hasChanged = true;
        return;
      case 'outcomes-settled': {
        const { seqs, settledAs, runMs } = event.told;
        for (const [at, seq] of seqs.entries()) {
          const isBack = settledAs[at] === SettledAs.RETRY || settledAs[at] === SettledAs.RELEASED;
          if (isBack) this.changed(seq, ChangedTo.OTHER, 0);
          const ms = runMs[at] ?? -1;
          if (ms >= 0 && this.runMs.length < SAMPLES_MAX) this.runMs.push(ms);
        }
        this.hasChanged = true;
        return;
      }
      default:
    }
  }

  private noteEnded(seqs: readonly number[], codes: readonly number[]): void {
    for (const [at, seq] of seqs.entries()) {
      const code = codes[at] as number;
      this.ended[code - 1] = (this.ended[code - 1] ?? 0) + 1;
      this.changed(seq, code, 0);
      if (this.endedSeqs.length < SAMPLES_MAX) this.endedSeqs.push(seq);
    }
    this.hasChanged = true;
  }

  private changed(seq: number, to: number, nodeId: number): void {
    const followers = this.bySeq.get(seq);
    if (followers === undefined) return;
    for (const follower of followers) {
      if (follower.changes.size >= CHANGES_MAX && !follower.changes.has(seq)) {
        follower.isPartial = true;
      } else {
        follower.changes.set(seq, { to, nodeId });
      }
    }
  }

  private speakSoon(): void {
    if (this.cancelTimer !== undefined || this.isIdle) return;
    const { clock } = this.deps;
    const sinceMs = clock.monotonicMs() - this.lastSaidMs;
    this.cancelTimer = clock.after(Math.max(FIRST_MS, WINDOW_MS - sinceMs), () => {
      this.cancelTimer = undefined;
      this.speak();
    });
  }

  private speak(): void {
    const { clock, send, standing, takeReadyMs } = this.deps;
    this.lastSaidMs = clock.monotonicMs();
    const shared = {
      ...standing(),
      ...{ lastSeq: this.lastSeq, ended: [...this.ended], endedSeqs: this.endedSeqs },
      ...{ readyMs: takeReadyMs().slice(0, SAMPLES_MAX), runMs: this.runMs },
    };
    for (const [nodeId, follower] of this.followers) {
      const { changes, isPartial, isDue } = follower;
      if (!this.hasChanged && !isDue) continue;
      send(nodeId, {
        ...shared,
        seqs: [...changes.keys()],
        changedTo: Array.from(changes.values(), ({ to }) => to),
        nodeIds: Array.from(changes.values(), (change) => change.nodeId),
        isPartial,
      });
      changes.clear();
      follower.isPartial = false;
      follower.isDue = false;
    }
    this.hasChanged = false;
    this.endedSeqs = [];
    this.runMs = [];
  }

  private drop(follower: Follower, seq: number): void {
    if (!follower.seqs.delete(seq)) return;
    const all = this.bySeq.get(seq) ?? [];
    if (all.length === 1) this.bySeq.delete(seq);
    else all.splice(all.indexOf(follower), 1);
  }
}
