/**
 * A mutant is one bug of the protocol, seeded on purpose: a piece of the sources is replaced, and
 * something must notice. A check that cannot fail proves nothing; this list is how each is seen to fail.
 *
 * The files beside this one hold the list, by theme; `list.ts` joins them, `npm run mutants` applies
 * them one at a time to a copy of the sources and prints what killed each.
 */
export interface Mutant {
  /** Unique; what `--only` takes. */
  readonly name: string;
  /** The rule of the protocol that it breaks, or the failure that it lets in. */
  readonly rule: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** Where name and rule do not say what goes wrong. */
  readonly why?: string;
  /** Each of them must kill it. */
  readonly killedBy: readonly Killer[];
}

export type Killer = TestKiller | SimulationKiller;

/** A test that fails on the mutant. */
export interface TestKiller {
  readonly test: string;
  /** Part of the full titles of the tests that are run, and of the text that gives them. */
  readonly grep: string;
}

/** A violation that the simulation finds within so many seeds, from the first. */
export interface SimulationKiller {
  readonly seeds: number;
}

export function isTestKiller(killer: Killer): killer is TestKiller {
  return 'test' in killer;
}

/** What a mutant makes of its file; undefined where it cannot be applied. */
export function applied(mutant: Mutant, text: string): string | undefined {
  const parts = text.split(mutant.find);
  return parts.length === 2 ? parts.join(mutant.replace) : undefined;
}
