import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { MUTANTS } from './list.ts';
import { applied, isTestKiller, type Mutant } from './mutant.ts';
import { ROOT } from './workbench.ts';

/**
 * Goal: the list of mutants does not rot. Method: each is held against the sources, without being tried;
 * `npm run mutants` tries them.
 */
describe('the list of mutants', () => {
  const textOf = (file: string): string => {
    const place = path.join(ROOT, file);
    return existsSync(place) ? readFileSync(place, 'utf8') : '';
  };
  /** The test, and what it imports from beside it: its titles may come from there. */
  const titlesOf = (test: string): string => {
    const text = textOf(test);
    const imports = [...text.matchAll(/ from '(\.[^']+)'/g)].map(([, from = '']) => from);
    return [text, ...imports.map((from) => textOf(path.join(path.dirname(test), from)))].join('\n');
  };
  const namesOf = (mutants: readonly Mutant[]): readonly string[] => mutants.map((m) => m.name);

  it('names each mutant once, by kebab-case words', () => {
    const names = namesOf(MUTANTS);
    expect(names).to.have.length(new Set(names).size);
    expect(names.filter((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))).to.deep.equal([]);
  });

  it('changes what is there, and there once', () => {
    const stale = MUTANTS.filter((mutant) => {
      const text = textOf(mutant.file);
      const mutated = applied(mutant, text);
      return mutated === undefined || mutated === text;
    });
    expect(namesOf(stale)).to.deep.equal([]);
  });

  it('names killers that are there', () => {
    const unkillable = MUTANTS.filter(
      ({ killedBy }) =>
        killedBy.length === 0 ||
        killedBy.some((killer) =>
          isTestKiller(killer) ? !titlesOf(killer.test).includes(killer.grep) : killer.seeds < 1,
        ),
    );
    expect(namesOf(unkillable)).to.deep.equal([]);
  });

  it('breaks each of the twenty rules', () => {
    const rules = new Set(MUTANTS.map(({ rule }) => rule));
    const all = Array.from({ length: 20 }, (_, at) => `rule ${String(at + 1)}`);
    expect(all.filter((rule) => !rules.has(rule))).to.deep.equal([]);
  });

  it('sees a mutant that has become stale', () => {
    const [mutant] = MUTANTS;
    if (mutant === undefined) throw new Error('the list is empty');
    const text = textOf(mutant.file);
    expect(applied(mutant, text.replace(mutant.find, ''))).to.equal(undefined);
    expect(applied(mutant, text + mutant.find)).to.equal(undefined);
  });
});
