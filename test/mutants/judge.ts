import type { Killer, Mutant, SimulationKiller, TestKiller } from './mutant.ts';
import { isTestKiller } from './mutant.ts';
import { runMocha, runToEnd, type Ended, type TestReport } from './mocha-run.ts';
import type { Server } from './server.ts';
import { ROOT, Workbench } from './workbench.ts';

/**
 * Applies mutants in a copy of the sources, and judges what came of it. A mutant is killed only where a
 * test failed by an assertion of its own or by its own timeout, or where the simulation names a
 * violation. A module that does not load, a statement that PostgreSQL does not understand, a hook that
 * fails or a run that hangs proves nothing: that is `broken`, and as bad as `survived`.
 */
export interface Verdict {
  readonly kind: 'killed' | 'survived' | 'broken';
  /** The test that failed, or the seed; else what went wrong. */
  readonly by: string;
  readonly seconds: number;
}

/** What the killers say of the sources as they are: a killer that fails then proves nothing. */
export interface Baseline {
  /**
   * By file, how long each test that passes takes, by its full title, and the codes of the server that
   * belong to it.
   */
  readonly tests: Map<
    string,
    { readonly passes: ReadonlyMap<string, number>; readonly codes: Codes }
  >;
  /** The seeds that the simulation was seen to run through without a violation. */
  seeds: number;
  /** What is wrong with the killers themselves. */
  readonly faults: string[];
}

type Codes = ReadonlySet<string>;

const TEST_LIMIT_MS = 120_000;
const TIMEOUT_MIN_MS = 5000;
const SIMULATION_LIMIT_MS = 300_000;
/** Of chai, or of fast-check about a property that chai found broken. */
const ASSERTION = /^(Uncaught )?AssertionError\b|^Error: Property failed after /;
/** How the simulation names a seed, and beneath it the first invariant that it violated. */
const VIOLATION = /^seed (\d+) fails .*\n {2}(I\d+)\b/m;

export class Judge {
  private readonly server: Server;
  private readonly bench: Workbench;
  private readonly user: string;
  private readonly databaseUrl: string;
  private readonly signal: AbortSignal;

  private constructor(deps: {
    readonly server: Server;
    readonly bench: Workbench;
    readonly user: string;
    readonly databaseUrl: string;
    readonly signal: AbortSignal;
  }) {
    this.server = deps.server;
    this.bench = deps.bench;
    this.user = deps.user;
    this.databaseUrl = deps.databaseUrl;
    this.signal = deps.signal;
  }

  static async open(server: Server, user: string, signal: AbortSignal): Promise<Judge> {
    const databaseUrl = await server.addLane(user);
    return new Judge({ server, bench: await Workbench.open(), user, databaseUrl, signal });
  }

  async close(): Promise<void> {
    await this.bench.close();
  }

  /** A whole file of tests on the sources as they are. */
  async addTests(baseline: Baseline, test: string): Promise<void> {
    const { ended, codes } = await this.mocha(test);
    const { report } = ended;
    if (report === undefined) {
      baseline.faults.push(`${test} does not run: ${lastLines(ended)}`);
      return;
    }
    const passes = new Map(
      report.passes.map(({ fullTitle, duration = 0 }) => [fullTitle, duration]),
    );
    baseline.tests.set(test, { passes, codes });
    for (const { fullTitle, err } of report.failures) {
      baseline.faults.push(`without a mutant it fails: ${fullTitle} (${err.message ?? ''})`);
    }
  }

  async addSeeds(baseline: Baseline, seeds: number): Promise<void> {
    const ended = await this.simulate(seeds);
    if (ended.code === 0) baseline.seeds = seeds;
    else baseline.faults.push(`without a mutant the simulation fails: ${lastLines(ended)}`);
  }

  async judge(mutant: Mutant, killer: Killer, baseline: Baseline): Promise<Verdict> {
    const begunMs = performance.now();
    const found = await this.bench.withMutant(mutant, () =>
      isTestKiller(killer) ? this.byTest(killer, baseline) : this.bySeeds(killer, baseline),
    );
    const seconds = (performance.now() - begunMs) / 1000;
    if (found !== undefined) return { ...found, seconds };
    return { kind: 'broken', by: `cannot be applied to ${mutant.file}`, seconds };
  }

  private async byTest(killer: TestKiller, baseline: Baseline): Promise<Omit<Verdict, 'seconds'>> {
    const { test, grep } = killer;
    const sound = baseline.tests.get(test);
    const passing = new Map([...(sound?.passes ?? [])].filter(([title]) => title.includes(grep)));
    if (sound === undefined || passing.size === 0) {
      return { kind: 'broken', by: `no test of ${test} passes that is called ${grep}` };
    }
    const { ended, codes } = await this.mocha(test, {
      grep,
      timeoutMs: timeoutMsOf(passing.values()),
    });
    const { report } = ended;
    if (report === undefined) return { kind: 'broken', by: `does not run: ${lastLines(ended)}` };
    const strange = [...codes].filter((code) => !sound.codes.has(code));
    if (strange.length > 0) {
      return { kind: 'broken', by: `PostgreSQL does not understand it: ${strange.join()}` };
    }
    const [failure] = report.failures;
    if (failure === undefined) return { kind: 'survived', by: grep };
    if (!passing.has(failure.fullTitle)) {
      return { kind: 'broken', by: `a hook failed: ${failure.fullTitle}` };
    }
    if (!isProof(failure)) {
      return { kind: 'broken', by: `no assertion: ${failure.err.stack ?? failure.title}` };
    }
    return { kind: 'killed', by: failure.fullTitle };
  }

  private async bySeeds(
    { seeds }: SimulationKiller,
    baseline: Baseline,
  ): Promise<Omit<Verdict, 'seconds'>> {
    if (baseline.seeds < seeds) return { kind: 'broken', by: 'the simulation fails without it' };
    const ended = await this.simulate(seeds);
    if (ended.code === 0) return { kind: 'survived', by: `${String(seeds)} seeds` };
    const [, seed, invariant = ''] = VIOLATION.exec(ended.errors) ?? [];
    if (seed === undefined) return { kind: 'broken', by: `no violation: ${lastLines(ended)}` };
    return { kind: 'killed', by: `seed ${seed}, ${invariant}` };
  }

  private async mocha(
    test: string,
    only?: { readonly grep: string; readonly timeoutMs: number },
  ): Promise<{ ended: Awaited<ReturnType<typeof runMocha>>; codes: Codes }> {
    const { bench, databaseUrl, signal, server, user } = this;
    const logEnd = await server.logEnd();
    const ended = await runMocha({
      folder: bench.folder,
      test,
      ...(only === undefined ? {} : { only }),
      databaseUrl,
      limitMs: TEST_LIMIT_MS,
      signal,
    });
    signal.throwIfAborted();
    return { ended, codes: await server.misunderstoodSince(logEnd, user) };
  }

  private async simulate(seeds: number): Promise<Ended> {
    const ended = await runToEnd(
      ['--import', 'tsx', 'scripts/simulate.ts', '--seeds', String(seeds), '--jobs', '1'],
      {
        folder: this.bench.folder,
        limitMs: SIMULATION_LIMIT_MS,
        signal: this.signal,
        enough: VIOLATION,
      },
    );
    this.signal.throwIfAborted();
    return ended;
  }
}

/**
 * What a mutant makes hang is not waited for as long as a test may take on any machine: so many times
 * as long as it took on this one just now.
 */
function timeoutMsOf(durations: Iterable<number>): number {
  return TIMEOUT_MIN_MS + 4 * Math.max(...durations);
}

function isProof({ err }: TestReport): boolean {
  return err.code === 'ERR_MOCHA_TIMEOUT' || ASSERTION.test(err.stack ?? '');
}

function lastLines({ isOverdue, output, errors }: Ended): string {
  const said = `${output}\n${errors}`.replaceAll(ROOT, '').trimEnd().split('\n').slice(-6);
  return `${isOverdue ? 'it did not end in time: ' : ''}${said.join(' | ')}`;
}
