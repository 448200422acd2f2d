import { expect } from 'chai';
import { intervalTimes } from '../../node/core/schedule.ts';
import { Timetable } from '../../node/leader/timetable.ts';
import type { DueSchedule, Fired, SchedulePort } from '../../node/leader/ports.ts';
import { DeposedError } from '../../node/store/term-writer.ts';
import { FakeClock } from '../support/fake-clock.ts';

/**
 * Goal: schedules fire on time, and no trouble with some of them stops others, the loop or the term.
 * Method: the real timetable over a store that a test lets fail, and a clock that it moves.
 */
const TERM = 7;
const SECOND = 1000;
/** Database time when the monotonic clock is at 0. */
const EPOCH_MS = Date.UTC(2030, 0, 1);

interface Kept {
  readonly everyMs: number;
  readonly kind: 'task' | 'workflow';
  nextMs: number;
}

class FakeStore implements SchedulePort {
  readonly kept = new Map<string, Kept>();
  /** What was submitted, and in which company. */
  readonly portions: string[][] = [];
  asked = 0;
  failure: ((ids: readonly string[]) => Error | undefined) | undefined;
  readFailure: Error | undefined;
  hasHeld = false;
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  get nowMs(): number {
    return EPOCH_MS + this.clock.monotonicMs();
  }

  add(id: string, everyMs: number, kind: 'task' | 'workflow' = 'task'): void {
    const nextMs = intervalTimes(everyMs, EPOCH_MS).after(this.nowMs) as number;
    this.kept.set(id, { everyMs, kind, nextMs });
  }

  due(limit: number, exceptSeqs: readonly number[]): ReturnType<SchedulePort['due']> {
    this.asked += 1;
    if (this.readFailure !== undefined) return Promise.reject(this.readFailure);
    const { nowMs } = this;
    const all = [...this.kept].map(([id, kept], at) => dueOf(id, kept, at));
    const isDue = ({ nextMs }: DueSchedule): boolean => (nextMs ?? Infinity) <= nowMs;
    const ahead = all.filter((one) => !isDue(one)).map(({ nextMs }) => nextMs ?? Infinity);
    const schedules = all
      .filter(isDue)
      .filter(({ scheduleSeq }) => !exceptSeqs.includes(scheduleSeq));
    const nextMs = ahead.length === 0 ? null : Math.min(...ahead);
    return Promise.resolve({
      ...{ schedules: schedules.slice(0, limit), nowMs, nextMs },
      hasHeld: this.hasHeld,
    });
  }

  fireMany(
    term: number,
    firings: Parameters<SchedulePort['fireMany']>[1],
  ): Promise<readonly Fired[]> {
    expect(term).to.equal(TERM);
    const ids = firings.map(({ schedule }) => schedule.id);
    const failure = this.failure?.(ids);
    if (failure !== undefined) return Promise.reject(failure);
    const portion = firings.flatMap(({ schedule, decision }) => {
      const kept = this.kept.get(schedule.id) as Kept;
      kept.nextMs = decision.nextMs as number;
      return decision.fires.map((ms) => `${schedule.id}@${String((ms - EPOCH_MS) / SECOND)}`);
    });
    this.portions.push(portion);
    return Promise.resolve(
      firings.map(({ decision: { fires } }) => ({
        ...{ hasMoved: true, runs: fires.length, tasks: fires.length, problem: null },
      })),
    );
  }

  isTheirFault(error: Error): boolean {
    return error.message === 'theirs';
  }
}

function dueOf(id: string, { everyMs, kind, nextMs }: Kept, at: number): DueSchedule {
  return {
    ...{ scheduleSeq: at + 1, id, revision: 1, catchUp: 'all', overlap: 'allow', nextMs, kind },
    ...{ timing: { kind: 'interval', everyMs, anchorMs: EPOCH_MS }, heldMs: null },
    ...{ period: { startMs: null, endMs: null }, isRunning: false, body: '{}' },
  };
}

function setup() {
  const clock = new FakeClock();
  const store = new FakeStore(clock);
  const end = new AbortController();
  const warnings: string[] = [];
  const deposed: string[] = [];
  let submitted = 0;
  const quiet = (): void => undefined;
  const timetable = new Timetable({
    ...{ clock, rng: { random: () => 1 }, schedules: store },
    log: { debug: quiet, info: quiet, warn: (message) => warnings.push(message), error: quiet },
    metrics: { tasksSubmitted: quiet, schedulesFired: quiet },
    leadership: { term: TERM, signal: end.signal, isTrusted: () => true },
    fireTimes: (timing) => {
      if (timing.kind !== 'interval') throw new Error('only intervals here');
      return intervalTimes(timing.everyMs, timing.anchorMs);
    },
    isDeposedError: (error) => error instanceof DeposedError,
    onDeposed: (reason) => {
      deposed.push(reason);
      end.abort();
    },
    onSubmitted: () => (submitted += 1),
  });
  return { clock, store, end, timetable, warnings, deposed, submitted: () => submitted };
}

describe('the timetable of a leader', () => {
  it('fires at the time, asks nothing in between, and says that there is something', async () => {
    const { clock, store, end, timetable, submitted } = setup();
    store.add('s', 30 * SECOND);
    const run = timetable.run();
    await clock.advance(65 * SECOND);
    expect(store.portions).to.deep.equal([['s@30'], ['s@60']]);
    expect(store.asked).to.equal(5);
    expect(submitted()).to.equal(2);
    end.abort();
    await run;
  });

  it('without a schedule asks once a minute, and hears of the first at once', async () => {
    const { clock, store, end, timetable } = setup();
    const run = timetable.run();
    await clock.advance(300 * SECOND);
    expect(store.asked).to.be.within(4, 7);
    store.add('s', SECOND);
    timetable.look();
    await clock.advance(2 * SECOND);
    expect(store.portions).to.have.length(2);
    end.abort();
    await run;
  });

  it('while a fire is held asks once a second', async () => {
    const { clock, store, end, timetable } = setup();
    store.hasHeld = true;
    const run = timetable.run();
    await clock.advance(10 * SECOND);
    expect(store.asked).to.be.within(9, 12);
    end.abort();
    await run;
  });

  it('fires many at once in portions, and each workflow by itself', async () => {
    const { clock, store, end, timetable } = setup();
    for (let at = 0; at < 230; at++) store.add(`s${String(at)}`, 10 * SECOND);
    for (const id of ['v', 'w']) store.add(id, 10 * SECOND, 'workflow');
    const run = timetable.run();
    await clock.advance(10 * SECOND);
    expect(store.portions.flat()).to.have.length(232);
    expect(new Set(store.portions.flat()).size).to.equal(232);
    for (const portion of store.portions) expect(portion.length).to.be.at.most(100);
    expect(store.portions).to.deep.include(['v@10']).and.to.deep.include(['w@10']);
    expect(store.portions).to.have.length.within(4, 10);
    end.abort();
    await run;
  });

  it('makes up for what was missed, a hundred fires at a time', async () => {
    const { clock, store, end, timetable } = setup();
    store.add('s', SECOND);
    (store.kept.get('s') as Kept).nextMs -= 250 * SECOND;
    const run = timetable.run();
    await clock.advance(0);
    expect(store.portions.map(({ length }) => length)).to.deep.equal([100, 100, 50]);
    end.abort();
    await run;
  });

  it('puts off one that fails by itself, and fires the others of its portion', async () => {
    const { clock, store, end, timetable, warnings } = setup();
    for (const id of ['a', 'bad', 'c']) store.add(id, SECOND);
    store.failure = (ids) => (ids.includes('bad') ? new Error('theirs') : undefined);
    const run = timetable.run();
    await clock.advance(5 * SECOND);
    expect(store.portions.flat().filter((fire) => fire.startsWith('a@'))).to.have.length(5);
    expect(warnings).to.have.length.within(1, 4);
    expect(store.asked).to.be.below(40);
    store.failure = undefined;
    await clock.advance(120 * SECOND);
    const made = store.portions.flat().filter((fire) => fire.startsWith('bad@'));
    expect(made).to.have.length.above(120);
    end.abort();
    await run;
  });

  it('waits for a database that is gone, and goes on when it is back', async () => {
    const { clock, store, end, timetable, deposed } = setup();
    store.add('s', SECOND);
    const run = timetable.run();
    await clock.advance(1500);
    store.readFailure = new Error('gone');
    await clock.advance(20 * SECOND);
    expect(store.portions).to.have.length(1);
    expect(store.asked).to.be.below(30);
    store.readFailure = undefined;
    store.failure = () => new Error('gone again');
    await clock.advance(10 * SECOND);
    store.failure = undefined;
    await clock.advance(10 * SECOND);
    expect(store.portions.flat()).to.have.length.above(35);
    expect(deposed).to.deep.equal([]);
    end.abort();
    await run;
  });

  it('ends the term where the fence says so, and ends with it', async () => {
    const { clock, store, timetable, deposed } = setup();
    store.add('s', SECOND);
    store.failure = () => new DeposedError();
    const run = timetable.run();
    await clock.advance(SECOND);
    await run;
    expect(deposed).to.have.length(1);
    expect(store.portions).to.deep.equal([]);
  });
});
