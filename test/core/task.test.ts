import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  endStatusOrThrow,
  TASK_STATUSES,
  TRANSITIONS,
  TriggerRule,
  verdictOf,
  type TriggerRuleName,
  type TriggerVerdict,
} from '../../node/core/task.ts';
import { VERSION } from '../../node/version.ts';

describe('a task', () => {
  it('may take exactly the transitions that its diagram draws', () => {
    const source = readFileSync(new URL('../../node/core/task.ts', import.meta.url), 'utf8');
    const drawn = [...source.matchAll(/^ \* {3}([A-Z]+) --> ([A-Z]+)$/gm)]
      .map(([, from, to]) => `${String(from)} ${String(to)}`)
      .sort();
    const tabled = TASK_STATUSES.flatMap((from) => TRANSITIONS[from].map((to) => `${from} ${to}`));
    expect(drawn).to.deep.equal(tabled.sort());
  });

  it('refuses an end code that is none', () => {
    expect(() => endStatusOrThrow(5)).to.throw('5 is not an end code');
  });

  // Columns: unended, succeeded, failed, skipped.
  const table: readonly (readonly [TriggerRuleName, readonly number[], TriggerVerdict])[] = [
    ['all_success', [0, 0, 0, 0], 'ready'],
    ['all_success', [1, 1, 0, 0], 'wait'],
    ['all_success', [0, 2, 0, 0], 'ready'],
    ['all_success', [5, 0, 1, 0], 'skip'],
    ['all_success', [5, 0, 0, 1], 'skip'],
    ['all_done', [1, 0, 5, 0], 'wait'],
    ['all_done', [0, 1, 1, 1], 'ready'],
    ['one_success', [1, 0, 5, 0], 'wait'],
    ['one_success', [1, 1, 0, 0], 'ready'],
    ['one_success', [0, 0, 1, 1], 'skip'],
    ['one_failed', [1, 5, 0, 1], 'wait'],
    ['one_failed', [1, 0, 1, 0], 'ready'],
    ['one_failed', [0, 5, 0, 1], 'skip'],
    ['none_failed', [1, 1, 0, 1], 'wait'],
    ['none_failed', [0, 1, 0, 1], 'ready'],
    ['none_failed', [1, 0, 1, 0], 'skip'],
  ];
  for (const [rule, [unended = 0, succeeded = 0, failed = 0, skipped = 0], verdict] of table) {
    const counts = { unended, succeeded, failed, skipped };
    it(`under ${rule} with ${JSON.stringify(counts)}: ${verdict}`, () => {
      expect(verdictOf(TriggerRule[rule], counts)).to.equal(verdict);
    });
  }
});

describe('the release', () => {
  it('is the same in the code and in package.json', () => {
    const json = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    expect((JSON.parse(json) as { version: string }).version).to.equal(VERSION);
  });
});
