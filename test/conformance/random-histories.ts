import type { Rng } from '../../node/base/clock.ts';
import { DeposedError } from '../../node/store/term-writer.ts';
import type { Laws } from '../sim/postgres/transaction.ts';
import { facts, lease, registry, settled, node } from './hands.ts';
import type { Hands, HandSession, Tables } from './hands.ts';
import { ModelHands, type ModelSession } from './model-hands.ts';
import { Asker, type Ask } from './random-asks.ts';
import type { RealBackend, RealHands } from './real-hands.ts';
import { until, type RealSession } from './real-session.ts';

/**
 * Random histories of three sessions, each first found on the model and then carried out on PostgreSQL in
 * the same order. A session that has to wait is left waiting until whoever is in its way has ended.
 *
 * What wakes up together runs side by side, in no order that could be compared; so at most one session
 * waits at a time, and a step after which two would is left out of the history.
 */
export interface Step {
  readonly by: number;
  readonly act: 'begin' | 'commit' | 'rollback' | Ask;
}

/** What has come of a step. */
export interface Outcome {
  /** By session: what was answered since the step before, to whatever it had asked then. */
  readonly answers: Readonly<Record<number, string>>;
  /** By session that waits: the sessions in its way. */
  readonly waiting: Readonly<Record<number, readonly number[]>>;
}

export interface History {
  readonly steps: readonly Step[];
  readonly outcomes: readonly Outcome[];
  readonly tables: Tables;
}

const SESSIONS = 3;
const STEPS_MAX = 16;
const HOUR_MS = 3_600_000;
const ANSWER_MS = 10_000;

/** Tasks 1 to 4, two of them leased, one failed, and two nodes of which one is overdue. */
async function prepare(hands: Hands): Promise<void> {
  await hands.add([1, 2]);
  await hands.add([3], [1]);
  await hands.add([4], [1, 2]);
  for (const seq of [1, 2, 4]) await hands.alter(seq, { expiresInMs: -HOUR_MS });
  await lease(hands, 1, 2, 3);
  await node(hands.aside).settleMany(settled(3, 1, 2));
  await registry(hands.aside).register(facts(1, ['w1']), HOUR_MS);
  await registry(hands.aside).register(facts(2), -HOUR_MS);
}

/** The sessions of a server, and what they have been asked and not answered yet. */
class Table<Session extends HandSession> {
  readonly sessions: readonly Session[];
  private readonly hands: Hands;
  private readonly asked = new Set<number>();
  private readonly held = new Set<number>();
  private answers: Record<number, string> = {};

  constructor(hands: Hands, sessions: readonly Session[]) {
    this.hands = hands;
    this.sessions = sessions;
  }

  start({ by, act }: Step): void {
    const session = this.sessions[by] as Session;
    this.asked.add(by);
    if (act === 'begin') this.held.add(by);
    else if (typeof act === 'string') this.held.delete(by);
    const done = typeof act === 'string' ? session[act]() : act.run(session, this.hands);
    void done.then(
      (answer) => {
        this.onAnswer(by, JSON.stringify(answer ?? null));
      },
      (thrown: unknown) => {
        this.onAnswer(by, faultOf(thrown));
      },
    );
  }

  /** Since it was last asked for. */
  takeAnswers(): Record<number, string> {
    const { answers } = this;
    this.answers = {};
    return answers;
  }

  has(by: number): boolean {
    return by in this.answers;
  }

  get unanswered(): readonly number[] {
    return [...this.asked];
  }

  isHeld(by: number): boolean {
    return this.held.has(by);
  }

  private onAnswer(by: number, answer: string): void {
    this.asked.delete(by);
    this.answers[by] = answer;
  }
}

function faultOf(thrown: unknown): string {
  if (thrown instanceof DeposedError) return 'deposed';
  const { code } = thrown as { readonly code?: unknown };
  return typeof code === 'string' ? `error ${code}` : String(thrown);
}

/** Found by trying step after step on the model. */
export async function drawHistory(rng: Rng, laws?: Laws): Promise<History> {
  const steps: Step[] = [];
  const outcomes: Outcome[] = [];
  let model = await Model.open(laws);
  const tryStep = async (step: Step): Promise<boolean> => {
    const outcome = await model.play(step);
    if (Object.keys(outcome.waiting).length > 1) {
      model = await Model.open(laws);
      for (const before of steps) await model.play(before);
      return false;
    }
    steps.push(step);
    outcomes.push(outcome);
    return true;
  };
  for (let tries = 0; steps.length < STEPS_MAX && tries < 2 * STEPS_MAX; tries++) {
    await tryStep(await drawStep(rng, model));
  }
  // Whoever waits has its answer when the others have ended.
  for (let by = 0; by < 2 * SESSIONS; by++) {
    const isWaiting = model.table.unanswered.includes(by % SESSIONS);
    if (isWaiting || !model.table.isHeld(by % SESSIONS)) continue;
    await tryStep({ by: by % SESSIONS, act: rng.random() < 0.7 ? 'commit' : 'rollback' });
  }
  return { steps, outcomes, tables: await model.hands.tables() };
}

async function drawStep(rng: Rng, { table, hands }: Model): Promise<Step> {
  const free = table.sessions.map((_, by) => by).filter((by) => !table.unanswered.includes(by));
  const by = free[Math.floor(rng.random() * free.length)] as number;
  const drawn = rng.random();
  if (table.isHeld(by)) {
    if (drawn < 0.1) return { by, act: 'commit' };
    if (drawn < 0.15) return { by, act: 'rollback' };
  } else if (drawn < 0.6) return { by, act: 'begin' };
  return { by, act: new Asker(rng, await hands.tables()).draw() };
}

class Model {
  readonly hands: ModelHands;
  readonly table: Table<ModelSession>;

  private constructor(hands: ModelHands, third: ModelSession) {
    this.hands = hands;
    this.table = new Table<ModelSession>(hands, [hands.one, hands.two, third]);
  }

  static async open(laws?: Laws): Promise<Model> {
    const hands = await ModelHands.create(laws);
    await prepare(hands);
    return new Model(hands, await hands.open('three'));
  }

  async play(step: Step): Promise<Outcome> {
    const { table } = this;
    table.start(step);
    await this.hands.untilQuiet();
    const waiting: Record<number, readonly number[]> = {};
    for (const by of table.unanswered) {
      const session = table.sessions[by] as ModelSession;
      waiting[by] = [...table.sessions.keys()].filter((other) =>
        session.isBlockedBy(table.sessions[other] as ModelSession),
      );
    }
    return { answers: table.takeAnswers(), waiting };
  }
}

/** A step after which PostgreSQL was found elsewhere than the model. */
export interface Difference {
  readonly at: number;
  readonly model: unknown;
  readonly real: unknown;
}

/** Carries a history out on PostgreSQL; answers the first difference. */
export async function compareHistory(
  backend: RealBackend,
  { steps, outcomes, tables }: History,
): Promise<Difference | undefined> {
  const hands = await backend.reset();
  await prepare(hands);
  const sessions = [hands.one, hands.two, await hands.open('three')];
  await Promise.all(sessions.map((session) => session.sql(`set deadlock_timeout = '1h'`)));
  const table = new Table<RealSession>(hands, sessions);
  for (const [at, step] of steps.entries()) {
    const expected = outcomes[at] as Outcome;
    if (isVictim(steps, outcomes, at)) {
      await sessions[step.by]?.sql(`set deadlock_timeout = '1ms'`);
    }
    table.start(step);
    const real = await settle(hands, table, expected);
    if (!isSame(expected, real)) return { at, model: expected, real };
  }
  const real = await hands.tables();
  return isSame(tables, real) ? undefined : { at: steps.length, model: tables, real };
}

/** PostgreSQL ends whoever looks for a circle first: it shall be the one that closes it, as on the model. */
function isVictim(steps: readonly Step[], outcomes: readonly Outcome[], at: number): boolean {
  const by = steps[at]?.by as number;
  const answer = outcomes.slice(at).find(({ answers }) => by in answers)?.answers[by];
  return answer === 'error 40P01';
}

/** Waits until PostgreSQL is where the model was, or sure to be elsewhere. */
async function settle(
  hands: RealHands,
  table: Table<RealSession>,
  expected: Outcome,
): Promise<Outcome> {
  const deadline = performance.now() + ANSWER_MS;
  const waiting = new Map<number, readonly number[]>();
  const isOverdue = (): boolean => performance.now() > deadline;
  for (const by of Object.keys(expected.answers).map(Number)) {
    while (!table.has(by) && !isOverdue()) await soon();
  }
  for (const by of table.unanswered) {
    const inTheWay = expected.waiting[by] ?? [];
    await until(async () => {
      const blockers = await blockersOf(hands, table, by);
      const isAsExpected = blockers.some((other) => inTheWay.includes(other));
      // Of several in its way PostgreSQL names the one that it waits for at the moment.
      waiting.set(by, isAsExpected ? inTheWay : blockers);
      return table.has(by) || isAsExpected || isOverdue();
    }, 'a session neither waits nor answers');
    if (table.has(by)) waiting.delete(by);
  }
  return { answers: table.takeAnswers(), waiting: Object.fromEntries(waiting) };
}

async function blockersOf(
  hands: RealHands,
  { sessions }: Table<RealSession>,
  by: number,
): Promise<readonly number[]> {
  const [row] = await hands.aside.sql<{ pids: number[] }>(
    'select pg_blocking_pids($1::int) as pids',
    [sessions[by]?.pid],
  );
  return [...sessions.keys()].filter((other) => row?.pids.includes(sessions[other]?.pid ?? 0));
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function soon(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 1);
  });
}

/** One line a step, with what came of it. */
export function describeHistory({ steps, outcomes }: History): string {
  return steps
    .map(({ by, act }, at) => {
      const what = typeof act === 'string' ? act : act.label;
      return `${String(at)}. session ${String(by)}: ${what} → ${JSON.stringify(outcomes[at])}`;
    })
    .join('\n');
}
