import { expect } from 'chai';
import type { RetentionPolicy } from '../../node/core/retention.ts';
import type { Cutoff, HistoryPort, Walked } from '../../node/leader/ports.ts';
import { Retention } from '../../node/leader/retention.ts';
import { DeposedError } from '../../node/store/term-writer.ts';
import { FakeClock } from '../support/fake-clock.ts';

/**
 * Goal: the removal of history is slow on purpose, outlives its failures, and ends with the term. Method:
 * the real job over a store that takes as long as a test says, and a clock that it moves.
 */
const TERM = 7;
const MINUTE = 60_000;
const WEEK: RetentionPolicy = { ageMs: 7 * 24 * 3_600_000, bytesMax: 0 };

class FakeHistory implements HistoryPort {
  readonly asked: { readonly what: string; readonly atMs: number; readonly cutoff?: Cutoff }[] = [];
  tookMs = 100;
  portions = 3;
  failure: Error | undefined;
  private readonly clock: FakeClock;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  async removeTasks(term: number, cutoff: Cutoff, after: number): Promise<Walked> {
    expect(term).to.equal(TERM);
    await this.answer('tasks', cutoff);
    return { last: after + 1 < this.portions ? after + 1 : undefined, removed: 500 };
  }

  async removeWorkflows(_term: number, cutoff: Cutoff): Promise<Walked> {
    await this.answer('workflows', cutoff);
    return { last: undefined, removed: 1 };
  }

  async removeEvents(): Promise<number> {
    await this.answer('events');
    return 2;
  }

  async sizes(): ReturnType<HistoryPort['sizes']> {
    await this.answer('sizes');
    return { tasks: { rows: 1000, bytesPerRow: 1000 }, others: [] };
  }

  async oldest(count: number): Promise<number> {
    await this.answer('oldest');
    return count + 5;
  }

  private async answer(what: string, cutoff?: Cutoff): Promise<void> {
    this.asked.push({ what, atMs: this.clock.monotonicMs(), ...(cutoff && { cutoff }) });
    await this.clock.sleep(this.tookMs);
    if (this.failure !== undefined) throw this.failure;
  }
}

function setup(policy: RetentionPolicy) {
  const clock = new FakeClock();
  const history = new FakeHistory(clock);
  const end = new AbortController();
  const removed = new Map<string, number>();
  const deposed: string[] = [];
  const quiet = (): void => undefined;
  const retention = new Retention({
    ...{ clock, history, policy },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    metrics: {
      historyRemoved: (what, count) => removed.set(what, (removed.get(what) ?? 0) + count),
    },
    leadership: { term: TERM, signal: end.signal, isTrusted: () => true },
    isDeposedError: (error) => error instanceof DeposedError,
    onDeposed: (reason) => {
      deposed.push(reason);
      end.abort();
    },
  });
  const kinds = (): readonly string[] => history.asked.map(({ what }) => what);
  return { clock, history, end, removed, deposed, retention, kinds };
}

describe('the removal of history by the leader', () => {
  it('goes portion by portion, each with a pause of nine times as long, and again later', async () => {
    const { clock, history, end, removed, retention, kinds } = setup(WEEK);
    const run = retention.run();
    await clock.advance(9000);
    expect(kinds()).to.deep.equal([]);
    await clock.advance(MINUTE);
    expect(kinds()).to.deep.equal(['events', 'workflows', 'tasks', 'tasks', 'tasks']);
    const [first = 0, second = 0] = history.asked.map(({ atMs }) => atMs);
    expect(second - first).to.equal(1000);
    expect(Object.fromEntries(removed)).to.deep.equal({ event: 2, workflow: 1, task: 1500 });
    expect(history.asked[2]?.cutoff?.ageMs).to.equal(WEEK.ageMs);
    await clock.advance(10 * MINUTE);
    expect(kinds()).to.have.length(10);
    end.abort();
    await run;
  });

  it('by size takes the oldest, as many as are too many, and nothing that has just ended', async () => {
    const { clock, history, end, retention, kinds } = setup({ ageMs: 0, bytesMax: 600_000 });
    const run = retention.run();
    await clock.advance(MINUTE);
    expect(kinds().slice(0, 4)).to.deep.equal(['sizes', 'oldest', 'workflows', 'tasks']);
    expect(history.asked[3]?.cutoff).to.deep.equal({ ageMs: MINUTE, lastSeq: 405 });
    end.abort();
    await run;
  });

  it('asks for nothing more where there is not too much, and for nothing without a limit', async () => {
    const enough = setup({ ageMs: 0, bytesMax: 2_000_000 });
    const run = enough.retention.run();
    await enough.clock.advance(MINUTE);
    expect(enough.kinds()).to.deep.equal(['sizes']);
    enough.end.abort();
    await run;
    const never = setup({ ageMs: 0, bytesMax: 0 });
    await never.retention.run();
    expect(never.kinds()).to.deep.equal([]);
  });

  it('gives a walk up that fails, and begins anew the next time', async () => {
    const { clock, history, end, deposed, retention, kinds } = setup(WEEK);
    history.failure = new Error('gone');
    const run = retention.run();
    await clock.advance(MINUTE);
    expect(kinds()).to.deep.equal(['events']);
    history.failure = undefined;
    await clock.advance(10 * MINUTE);
    expect(kinds().slice(1)).to.deep.equal(['events', 'workflows', 'tasks', 'tasks', 'tasks']);
    expect(deposed).to.deep.equal([]);
    end.abort();
    await run;
  });

  it('ends the term where the fence says so, and ends with it in the middle of a portion', async () => {
    const fenced = setup(WEEK);
    fenced.history.failure = new DeposedError();
    const run = fenced.retention.run();
    await fenced.clock.advance(MINUTE);
    await run;
    expect(fenced.deposed).to.have.length(1);
    const cut = setup(WEEK);
    cut.history.tookMs = 30_000;
    const running = cut.retention.run();
    await cut.clock.advance(15_000);
    cut.end.abort();
    await running;
    expect(cut.kinds()).to.deep.equal(['events']);
  });
});
