import type { Clock } from '../../base/clock.ts';
import { Waker } from '../../base/waker.ts';
import type { News } from '../../core/messages.ts';
import type { TaskSummary } from '../../store/task-list.ts';
import { keyOf } from './messages.ts';
import type { ViewName } from './messages.ts';
import { applyHints, applyTasks, hasEnded, mayShowOthers, movementOf } from './news.ts';
import type { Hint } from './news.ts';
import { Topic } from './topic.ts';
import type { LiveTopic } from './topic.ts';
import { LiveViews } from './views.ts';
import type { LiveReads } from './views.ts';
import type { FeedPort, LogPort } from '../ports.ts';
import { toAppError } from '../problem.ts';

/**
 * Keeps the views that somebody watches true, each once for all who watch it, from two sources:
 *
 *   leader ─▶ news (at most five a second) ─▶ rows and counts that are shown ─▶ changed at once
 *   PostgreSQL ─▶ poll ─▶ the whole view;  and by number, those rows that news was about
 *
 * News is a hint. A row that it changed is read within a second, together with all others of which the
 * same is true, in one statement: what a hint does not know (times, results) comes from there. A view is
 * read as a whole where it may show other tasks than it does, and as a backstop: every few seconds
 * while a leader tells what changes, once a second without one.
 *
 * One loop turns while somebody watches, and sleeps otherwise. It reads what is due first, and rests after
 * each read for as long as that took: however much is watched, it takes half of one connection at most. A
 * read that fails is told to those who watch, and tried again.
 *
 * What it does not promise: that each state of a task is seen. The latest is, soon.
 */
export interface LiveReaderDeps extends LiveReads {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly feed: FeedPort;
  /** A view has changed, or a read of it failed. */
  readonly onChange: () => void;
}

/** Between two reads of a view where no leader says what changes. */
const POLL_MS = 1000;
/** The same where one does. A task, nodes and events change in ways that no leader hears of. */
const BACKSTOP_MS: Readonly<Record<ViewName['view'], number>> = {
  ...{ task: 1000, overview: 2000, nodes: 2000, events: 2000, schedules: 2000 },
  ...{ tasks: 5000, workflow: 5000, workflows: 5000 },
};
/**
 * News brings a read after so many times as long as the one before took, so that no view takes more than a
 * twentieth of one connection, and no sooner and no later than this.
 */
const PACE = { times: 20, leastMs: 150, mostMs: POLL_MS };
/** More new rows at once are more than anybody reads, and are sent to all who watch: the next may wait. */
const FLOOD_ROWS = 50;
/** Rows that one statement reads by their numbers. */
const ROWS_MAX = 1000;
/** Runs that ended, read a second for the lanes of the nodes. */
const ENDED_MAX = 100;
/** Of a task that was not followed when it was read. */
const LOOK_AGAIN: Hint = { changedTo: 0, node: null, atMs: Number.NEGATIVE_INFINITY };
/** What nobody watches any more is kept so long, for those who come back. */
const KEPT_MS = 30_000;
/** As many as a leader follows for one node. */
const FOLLOWED_MAX = 20_000;

export class LiveReader {
  readonly views: LiveViews;
  readonly #deps: LiveReaderDeps;
  readonly #topics = new Map<string, LiveTopic>();
  readonly #waker: Waker;
  readonly #stopped = new AbortController();
  readonly #unlisten: readonly (() => void)[];
  /** All and only the tasks that watched views show, with those views. */
  #shownBy = new Map<number, LiveTopic[]>();
  /** What the leader was asked to follow; null where it is to be asked anew. */
  #followed: ReadonlySet<number> | null = null;
  #isShownOld = false;
  /** Tasks that news was about since their rows were read, and what it said last. */
  #hints = new Map<number, Hint>();
  #ended = new Set<number>();
  #rowsDueMs = 0;
  #news: News | null = null;
  #loop: Promise<void> | null = null;
  /** The highest sequence number of all topics that were forgotten. */
  #lastSeq = 0;

  constructor(deps: LiveReaderDeps) {
    this.#deps = deps;
    this.views = new LiveViews(deps);
    this.#waker = new Waker(deps.clock);
    this.#unlisten = [
      deps.feed.onNews((news) => {
        if (this.isAwake) this.#hear(news);
      }),
      deps.feed.onTerm(() => {
        this.#forgetNews();
        for (const topic of this.#topics.values()) this.#hasten(topic);
        this.#waker.wake();
      }),
    ];
  }

  /** Whether it reads at all: only while somebody watches. */
  get isAwake(): boolean {
    return this.#loop !== null;
  }

  join(to: ViewName): LiveTopic {
    const key = keyOf(to);
    let topic = this.#topics.get(key);
    if (topic === undefined) {
      topic = {
        ...{ to, state: new Topic(this.#lastSeq), fault: null, watchers: 0, seqs: new Map() },
        ...{ readMs: Number.NEGATIVE_INFINITY, hastenedMs: 0, paceMs: PACE.leastMs, leftMs: 0 },
      };
      this.#topics.set(key, topic);
    }
    // What nobody watched was not kept true.
    if (topic.watchers === 0) topic.readMs = Number.NEGATIVE_INFINITY;
    topic.watchers += 1;
    this.#isShownOld = true;
    this.#waker.wake();
    if (!this.#isStopped) {
      this.#loop ??= this.#run().finally(() => {
        this.#loop = null;
      });
    }
    return topic;
  }

  leave(topic: LiveTopic): void {
    topic.watchers -= 1;
    topic.leftMs = this.#deps.clock.monotonicMs();
    this.#isShownOld = true;
    this.#waker.wake();
  }

  async stop(): Promise<void> {
    for (const unlisten of this.#unlisten) unlisten();
    this.#stopped.abort();
    await this.#loop;
  }

  get #isStopped(): boolean {
    return this.#stopped.signal.aborted;
  }

  /** Whether a leader tells what changes. */
  get #isFed(): boolean {
    return this.#news !== null && this.#deps.feed.isLinked;
  }

  #forgetNews(): void {
    this.#news = null;
    this.#followed = null;
    this.#isShownOld = true;
    this.views.forgetNews();
  }

  #hear(news: News): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const movement = movementOf(this.#news, news);
    this.#news = news;
    this.views.heard(news, nowMs);
    const hints = new Map<LiveTopic, Map<number, Hint>>();
    for (const [at, seq] of news.seqs.entries()) {
      const nodeId = news.nodeIds[at] ?? 0;
      const node = nodeId === 0 ? null : this.views.nameOf(nodeId);
      const hint = { changedTo: news.changedTo[at] ?? 0, node, atMs: nowMs };
      this.#hints.set(seq, hint);
      for (const topic of this.#shownBy.get(seq) ?? []) {
        const own = hints.get(topic) ?? new Map<number, Hint>();
        hints.set(topic, own.set(seq, hint));
      }
    }
    for (const [topic, own] of hints) {
      applyHints(topic, own);
      if (topic.to.view === 'task' || hasEnded(topic)) this.#hasten(topic);
    }
    for (const topic of this.#topics.values()) {
      if (topic.watchers === 0) continue;
      if (mayShowOthers(topic, movement)) this.#hasten(topic);
      else if (news.isPartial && topic.seqs.size > 0) this.#hasten(topic);
      if (topic.to.view === 'nodes') for (const seq of news.endedSeqs) this.#ended.add(seq);
      this.#patchCluster(topic, news, nowMs);
    }
    this.#deps.onChange();
    this.#waker.wake();
  }

  /** The counts of the leader, in views about the cluster as a whole. */
  #patchCluster({ to: { view }, state }: LiveTopic, news: News, nowMs: number): void {
    if (view !== 'overview' && view !== 'nodes') return;
    const { rows, ...patch } = this.views.patchOf(view, news, nowMs);
    const merged = [...(rows ?? [])].flatMap(([id, part]) => {
      const row = state.row(id);
      return row === null ? [] : [[id, { ...row, ...part }] as const];
    });
    state.patch({ ...patch, rows: new Map(merged) });
  }

  #hasten(topic: LiveTopic): void {
    topic.hastenedMs = Math.min(topic.hastenedMs, topic.readMs + topic.paceMs);
  }

  async #run(): Promise<void> {
    const { clock, feed } = this.#deps;
    const { signal } = this.#stopped;
    while (!signal.aborted && [...this.#topics.values()].some(isWatched)) {
      const startedMs = clock.monotonicMs();
      const topic = this.#nextTopic();
      const dueMs = topic === undefined ? Number.POSITIVE_INFINITY : this.#dueMs(topic);
      const mayRead = Math.min(dueMs, this.#rowsMs()) <= startedMs;
      if (mayRead && this.#rowsMs() <= dueMs) await this.#readRows();
      else if (mayRead && topic !== undefined) await this.#read(topic);
      this.#forget();
      this.#follow();
      // As long as the read took: what is watched never takes more than half of a connection.
      const tookMs = clock.monotonicMs() - startedMs;
      await clock.sleep(tookMs, signal).catch(() => undefined);
      await this.#waker.wait(this.#idleMs(), signal);
    }
    this.#forgetNews();
    this.#hints.clear();
    feed.follow({ isOn: false, isAnew: false, seqs: [], dropped: [] });
  }

  async #read(topic: LiveTopic): Promise<void> {
    const { clock, log, onChange } = this.#deps;
    let changedRows = 0;
    topic.readMs = clock.monotonicMs();
    topic.hastenedMs = Number.POSITIVE_INFINITY;
    try {
      const view = await this.views.read(topic.to, topic.readMs);
      const isFirst = !topic.state.hasView;
      const changed = topic.state.take(view) ?? 0;
      changedRows = isFirst ? 0 : changed;
      topic.fault = null;
      topic.seqs = seqsOf(view);
      this.#isShownOld = true;
      this.#hintAgain(topic, topic.readMs);
      if (this.#isFed && this.#news !== null) {
        this.#patchCluster(topic, this.#news, clock.monotonicMs());
      }
    } catch (thrown) {
      const { code, message, httpStatus, cause } = toAppError(thrown);
      if (httpStatus === 500) log.error('A live view could not be read.', { code, cause });
      topic.fault = { code, detail: message };
    }
    const isFlood = changedRows > FLOOD_ROWS;
    topic.paceMs = isFlood ? POLL_MS : paceMs(clock.monotonicMs() - topic.readMs);
    onChange();
  }

  /** News that came while a view was read may be newer than what was found. */
  #hintAgain(topic: LiveTopic, sinceMs: number): void {
    const newer = new Map<number, Hint>();
    for (const [seq, hint] of this.#hints) {
      if (hint.atMs >= sinceMs && topic.seqs.has(seq)) newer.set(seq, hint);
    }
    if (newer.size > 0) applyHints(topic, newer);
  }

  /** What news was about, by number: one statement for all views. */
  async #readRows(): Promise<void> {
    const { clock, tasks, log, onChange } = this.#deps;
    const readMs = clock.monotonicMs();
    const hinted = [...this.#hints.keys()].slice(0, ROWS_MAX);
    const ended = [...this.#ended].slice(0, ENDED_MAX);
    for (const seq of hinted) this.#hints.delete(seq);
    this.#ended.clear();
    const seqs = new Set([...hinted.filter((seq) => this.#isRow(seq)), ...ended]);
    if (seqs.size === 0) return;
    try {
      const found = await tasks.some([...seqs]);
      const bySeq = new Map(found.map((task) => [task.seq, task]));
      this.#show(hinted, bySeq, readMs);
      const runs = ended.flatMap((seq) => bySeq.get(seq) ?? []);
      for (const { to, state } of this.#topics.values()) {
        if (to.view === 'nodes' && runs.length > 0) state.patch(this.views.ended(runs));
      }
    } catch (thrown) {
      // The views are read as a whole soon, and say what is wrong.
      log.debug('Rows of live views could not be read.', { error: String(thrown) });
    }
    this.#rowsDueMs = readMs + paceMs(clock.monotonicMs() - readMs);
    onChange();
  }

  #show(hinted: readonly number[], bySeq: ReadonlyMap<number, TaskSummary>, readMs: number): void {
    const byTopic = new Map<LiveTopic, Map<number, TaskSummary>>();
    for (const seq of hinted) {
      const task = bySeq.get(seq);
      if (task === undefined) continue;
      for (const topic of this.#shownBy.get(seq) ?? []) {
        const own = byTopic.get(topic) ?? new Map<number, TaskSummary>();
        byTopic.set(topic, own.set(seq, task));
      }
    }
    for (const [topic, own] of byTopic) {
      // A whole read that began meanwhile has seen more than this one.
      if (topic.readMs > readMs) continue;
      applyTasks(topic, own);
      this.#hintAgain(topic, readMs);
      if (hasEnded(topic)) this.#hasten(topic);
    }
  }

  /** Whether a view shows it as a row; one task alone is read as a whole. */
  #isRow(seq: number): boolean {
    return this.#shownBy.get(seq)?.some(({ to }) => to.view !== 'task') === true;
  }

  #forget(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [key, topic] of this.#topics) {
      if (isWatched(topic) || nowMs - topic.leftMs <= KEPT_MS) continue;
      this.#topics.delete(key);
      this.#lastSeq = Math.max(this.#lastSeq, topic.state.seq);
    }
  }

  /** Tells the leader which tasks are shown now. */
  #follow(): void {
    if (!this.#isShownOld) return;
    this.#isShownOld = false;
    const shownBy = new Map<number, LiveTopic[]>();
    for (const topic of this.#topics.values()) {
      if (!isWatched(topic)) continue;
      for (const seq of topic.seqs.keys()) {
        const topics = shownBy.get(seq);
        if (topics !== undefined) topics.push(topic);
        else if (shownBy.size < FOLLOWED_MAX) shownBy.set(seq, [topic]);
      }
    }
    this.#shownBy = shownBy;
    const before = this.#followed;
    const now = new Set(shownBy.keys());
    const seqs = [...now].filter((seq) => before?.has(seq) !== true);
    const dropped = before === null ? [] : [...before].filter((seq) => !now.has(seq));
    this.#followed = now;
    // Whatever changed between the read that found them and now, nobody tells: they are looked at again.
    for (const seq of seqs) {
      if (this.#isUnfinished(seq)) this.#hints.set(seq, LOOK_AGAIN);
    }
    if (before !== null && seqs.length + dropped.length === 0) return;
    this.#deps.feed.follow({ isOn: true, isAnew: before === null, seqs, dropped });
  }

  #isUnfinished(seq: number): boolean {
    const [topic] = this.#shownBy.get(seq) ?? [];
    const status = topic?.state.row(topic.seqs.get(seq) ?? '')?.['status'];
    return status === 'QUEUED' || status === 'RUNNING';
  }

  #rowsMs(): number {
    return this.#hints.size + this.#ended.size === 0 ? Number.POSITIVE_INFINITY : this.#rowsDueMs;
  }

  #backstopMs({ to, readMs, fault }: LiveTopic): number {
    const isTold = this.#isFed && fault === null;
    return readMs + (isTold ? BACKSTOP_MS[to.view] : POLL_MS);
  }

  #dueMs(topic: LiveTopic): number {
    return Math.min(topic.hastenedMs, this.#backstopMs(topic));
  }

  /** That which is due first; one that has just been joined comes before all others. */
  #nextTopic(): LiveTopic | undefined {
    let next: LiveTopic | undefined;
    for (const topic of this.#topics.values()) {
      if (!isWatched(topic)) continue;
      if (next === undefined || this.#dueMs(topic) < this.#dueMs(next)) next = topic;
    }
    return next;
  }

  /** At most until it must be seen that the leader is silent. */
  #idleMs(): number {
    let untilMs = Math.min(this.#deps.clock.monotonicMs() + POLL_MS, this.#rowsMs());
    for (const topic of this.#topics.values()) {
      if (isWatched(topic)) untilMs = Math.min(untilMs, this.#dueMs(topic));
    }
    return Math.max(0, untilMs - this.#deps.clock.monotonicMs());
  }
}

function paceMs(tookMs: number): number {
  return Math.min(PACE.mostMs, Math.max(PACE.leastMs, tookMs * PACE.times));
}

function isWatched({ watchers }: LiveTopic): boolean {
  return watchers > 0;
}

function seqsOf({ rows, seqs = [] }: Awaited<ReturnType<LiveViews['read']>>): LiveTopic['seqs'] {
  return new Map(seqs.map((seq, at) => [seq, rows[at]?.id ?? '']));
}
