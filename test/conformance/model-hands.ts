import { expect } from 'chai';
import type { Session } from '../../node/store/database.ts';
import type { Row, Statement } from '../../node/store/pipeline.ts';
import type { NewTask } from '../sim/postgres/submissions.ts';
import { SimServer } from '../sim/postgres/server.ts';
import type { Answer, SimSession } from '../sim/postgres/session.ts';
import type { Laws } from '../sim/postgres/transaction.ts';
import { seededRng } from '../support/seeded-rng.ts';
import { FIRST_CLOCK_MS, HAND_PROGRAMS, standingOf, tablesOf } from './model-programs.ts';
import { NODE, TERM } from './hands.ts';
import type { Backend, Blocked, Hands, HandSession, LiveChange, OpenBackend } from './hands.ts';
import type { SketchedTask, Standing, Submitted, Tables, TermView } from './hands.ts';
import type { Times, TriedLock } from './hands.ts';

/**
 * The model of PostgreSQL that the simulation runs on, driven by hand: whatever can go on goes on at
 * once, and time passes only a little with each look at the clock. A timeout never passes.
 */
export function modelBackend(): Backend {
  return {
    name: 'on the model',
    open: (): Promise<OpenBackend> =>
      Promise.resolve({
        reset: () => ModelHands.create(),
        close: () => Promise.resolve(),
      }),
  };
}

/** Longer than any step of a statement takes, and shorter than any timeout. */
const TIMEOUT_MS_MIN = 1000;
/** Nothing here takes so many rounds of the event loop unless it waits for ever. */
const TURNS_MAX = 2000;
/** What a script does between two questions takes no more. */
const QUIET_TURNS = 5;

/** What was asked of a model: statements by name, all and those that had to wait for another. */
export interface Asked {
  readonly names: Set<string>;
  readonly waited: Set<string>;
}

export class ModelSession implements HandSession {
  readonly session: SimSession;
  readonly ended: Promise<void>;
  private readonly unanswered = new Set<(error: Error) => void>();
  private readonly asked: Asked | undefined;
  private tail: Promise<unknown> = Promise.resolve();
  private running = '';

  constructor(server: SimServer, name: string, asked: Asked | undefined) {
    this.asked = asked;
    let onEnded: () => void = () => undefined;
    this.ended = new Promise((resolve) => {
      onEnded = resolve;
    });
    const session = server.connect({
      owner: name,
      statementTimeoutMs: Infinity,
      onEnded: (reason) => {
        for (const reject of this.unanswered) reject(new Error(reason));
        onEnded();
      },
    });
    if (session === undefined) throw new Error('the server is down');
    this.session = session;
  }

  query({ name }: Statement, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.run(name, values);
  }

  asSession(): Session {
    return {
      query: async <R>({ name }: { readonly name?: string }, values: readonly unknown[] = []) =>
        (await this.run(name ?? '', values)) as R[],
    };
  }

  begin(): Promise<void> {
    return this.inTurn(() => {
      this.session.begin();
    });
  }

  commit(): Promise<void> {
    return this.inTurn(() => {
      this.session.commit();
    });
  }

  rollback(): Promise<void> {
    return this.inTurn(() => {
      this.session.rollback();
    });
  }

  async terminate(): Promise<void> {
    this.session.terminate('terminating connection due to administrator command');
    await this.ended;
  }

  async tryLock(idleMs = 3_600_000): Promise<TriedLock> {
    const [row] = await this.run('lock-session.try', [1, 1, idleMs]);
    return { taken: row?.[0] as boolean, ...viewOf(row?.slice(1)) };
  }

  async bumpTerm(above: number, nodeId: number): Promise<number | undefined> {
    const values = [above, nodeId, `node-${String(nodeId)}`, 'a', 'h'];
    const [row] = await this.run('lock-session.bump', values);
    return row?.[0] as number | undefined;
  }

  async readTerm(): Promise<TermView> {
    const [row] = await this.run('lock-session.read', []);
    return viewOf(row);
  }

  run(name: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.inTurn(
      () =>
        new Promise((resolve, reject) => {
          this.unanswered.add(reject);
          this.running = name;
          this.asked?.names.add(name);
          this.session.execute(name, values, (answer: Answer) => {
            this.unanswered.delete(reject);
            if ('error' in answer) reject(answer.error);
            else resolve(answer.rows);
          });
        }),
    );
  }

  isBlockedBy(other: ModelSession): boolean {
    const isBlocked = this.session.isBlockedBy(other.session);
    if (isBlocked) this.asked?.waited.add(this.running);
    return isBlocked;
  }

  /** What is asked of a session is done in the order in which it is asked. */
  private inTurn<T>(act: () => T | Promise<T>): Promise<T> {
    const done = this.tail.then(act, act);
    // Whoever asked hears of a failure; what comes next goes on.
    this.tail = done.catch(() => undefined);
    return done;
  }
}

export class ModelHands implements Hands {
  readonly one: ModelSession;
  readonly two: ModelSession;
  readonly aside: ModelSession;
  private readonly server: SimServer;
  private readonly asked: Asked | undefined;
  private clockMs = FIRST_CLOCK_MS;
  private due = 0;

  private constructor(laws: Laws | undefined, asked: Asked | undefined) {
    this.asked = asked;
    this.server = new SimServer({
      rng: seededRng(1),
      nowMs: () => this.clockMs,
      clockMs: () => (this.clockMs += 0.01),
      after: (ms, action) => {
        if (ms >= TIMEOUT_MS_MIN) return () => undefined;
        this.due += 1;
        let isDue = true;
        const noMore = (): boolean => {
          const was = isDue;
          isDue = false;
          if (was) this.due -= 1;
          return was;
        };
        setImmediate(() => {
          if (noMore()) action();
        });
        return noMore;
      },
      morePrograms: HAND_PROGRAMS,
      ...(laws === undefined ? {} : { laws }),
    });
    this.one = new ModelSession(this.server, 'one', asked);
    this.two = new ModelSession(this.server, 'two', asked);
    this.aside = new ModelSession(this.server, 'aside', asked);
  }

  static async create(laws?: Laws, asked?: Asked): Promise<ModelHands> {
    const hands = new ModelHands(laws, asked);
    await hands.aside.run('hand.start', [TERM]);
    return hands;
  }

  /** Nothing more happens unless somebody asks for something. */
  async untilQuiet(): Promise<void> {
    for (let turns = 0; turns < QUIET_TURNS; turns++) {
      await turn();
      if (this.due > 0) turns = 0;
    }
  }

  open(name: string): Promise<ModelSession> {
    return Promise.resolve(new ModelSession(this.server, name, this.asked));
  }

  async add(seqs: readonly number[], deps: readonly number[] = []): Promise<void> {
    await this.aside.run('hand.add', [seqs, deps]);
  }

  async alter(seq: number, change: LiveChange | 'remove'): Promise<void> {
    await this.aside.run('hand.alter', [seq, change]);
  }

  async markBulk(inboxId: number): Promise<void> {
    await this.aside.run('hand.mark-bulk', [inboxId]);
  }

  how(seq: number): Promise<Standing> {
    return Promise.resolve(standingOf(this.server.data, seq));
  }

  times(seq: number): Promise<Times> {
    const { data } = this.server;
    const task = data.task.get(seq);
    return Promise.resolve({
      liveStartedAtMs: data.live.get(seq)?.startedAt ?? null,
      startedAtMs: task?.startedAt ?? null,
      finishedAtMs: task?.finishedAt ?? null,
    });
  }

  tables(): Promise<Tables> {
    return Promise.resolve(tablesOf(this.server.data));
  }

  async hold(hand: HandSession, table: 'live' | 'task', seq: number): Promise<void> {
    await modelOf(hand).run(`hand.hold-${table}`, [seq]);
  }

  async removeTask(hand: HandSession, seq: number): Promise<number> {
    return (await modelOf(hand).run('hand.remove-task', [seq])).length;
  }

  async submit(hand: HandSession, tasks: readonly SketchedTask[]): Promise<Submitted> {
    const outcome = await this.submitBy(hand, 'submissions.submit', [tasks.map(newTask)]);
    return outcome === 'ids-taken' ? 'exist' : outcome;
  }

  async spawn(
    hand: HandSession,
    parent: number,
    tasks: readonly SketchedTask[],
  ): Promise<Submitted> {
    const values = [{ seq: parent, leaseSeq: 1, nodeId: NODE }, tasks.map(newTask)];
    const outcome = await this.submitBy(hand, 'submissions.spawn', values);
    // As submissions.ts does: whoever else has added them, the next look finds them.
    return outcome === 'ids-taken' ? this.spawn(hand, parent, tasks) : outcome;
  }

  private async submitBy(
    hand: HandSession,
    program: string,
    values: readonly unknown[],
  ): Promise<Submitted | 'ids-taken'> {
    try {
      await modelOf(hand).run(program, values);
      return 'stored';
    } catch (thrown) {
      // As database.ts does, whatever was thrown.
      await hand.rollback();
      if ((thrown as { code?: unknown }).code !== 'refused') throw thrown;
      return (thrown as Error).message as Submitted | 'ids-taken';
    }
  }

  async blocked<T>(
    hand: HandSession,
    by: HandSession,
    start: () => Promise<T>,
  ): Promise<Blocked<T>> {
    const answer = start();
    const state = { hasEnded: false };
    const onEnd = (): void => {
      state.hasEnded = true;
    };
    answer.then(onEnd, onEnd);
    for (let turns = 0; turns < TURNS_MAX && !state.hasEnded; turns++) {
      await turn();
      if (modelOf(hand).isBlockedBy(modelOf(by))) return { answer };
    }
    expect.fail(state.hasEnded ? 'the statement did not wait' : 'it does not wait for that one');
  }

  async loseAnswer(run: (hand: HandSession) => Promise<unknown>): Promise<void> {
    const hand = new ModelSession(this.server, 'lost', this.asked);
    this.server.answersLost = 1;
    const isLost = await run(hand).then(
      () => false,
      () => true,
    );
    this.server.answersLost = 0;
    expect(isLost, 'no answer').to.equal(true);
  }
}

function modelOf(hand: HandSession): ModelSession {
  if (hand instanceof ModelSession) return hand;
  throw new Error('a session of another server');
}

function viewOf(row: Row | undefined): TermView {
  const [term, nodeId, name] = (row ?? []) as readonly [number, number | null, string | null];
  return { term, nodeId, name };
}

function newTask(task: SketchedTask): NewTask {
  const { id, type = 'noop', dependencies = [], delayMs = 0, ttlMs = null } = task;
  return {
    ...{ id, type, dependencies, delayMs, ttlMs, payload: `"${id}"`, priority: 50, maxAttempts: 3 },
    ...{ rule: 0, expectedMs: 40, timeoutMs: null, backoffBaseMs: 100 },
  };
}

export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
