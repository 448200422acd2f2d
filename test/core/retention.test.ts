import { expect } from 'chai';
import { closureOf, pauseAfterMs, tasksOver } from '../../node/core/retention.ts';

/** Goal: how much goes, how fast, and what stays of a portion. Method: tables. */
describe('what is removed of the history', () => {
  it('is what is above the limit, by the share of a task in all that is stored', () => {
    const tasks = { rows: 1000, bytesPerRow: 900 };
    const others = [{ rows: 100, bytesPerRow: 1000 }];
    expect(tasksOver(tasks, others, 0)).to.equal(0);
    expect(tasksOver(tasks, others, 1_000_000)).to.equal(0);
    expect(tasksOver(tasks, others, 750_000)).to.equal(250);
    expect(tasksOver(tasks, others, 1)).to.equal(1000);
    expect(tasksOver({ rows: 0, bytesPerRow: 0 }, others, 1)).to.equal(0);
  });

  it('comes with pauses of nine times as long as it took, within bounds', () => {
    expect([0, 5, 100, 500, 5000].map(pauseAfterMs)).to.deep.equal([50, 50, 900, 4500, 10_000]);
  });

  it('leaves what stays refers to, and so on', () => {
    const at = (seq: number, isReferenced: boolean, ...referredBy: readonly number[]) => ({
      ...{ seq, isReferenced, referredBy },
    });
    const portion = [at(1, false, 2), at(2, false, 3), at(3, true), at(4, false, 5), at(5, false)];
    expect([...closureOf(portion)].sort()).to.deep.equal([1, 2, 3]);
    expect(closureOf([])).to.deep.equal(new Set());
  });
});
