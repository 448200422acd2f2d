import { expect } from 'chai';
import { ReadyAges } from '../../node/core/ready-ages.ts';

/** Goal: the age of the task that waits longest is right, whoever comes and goes, to the second. */
describe('the ages of ready tasks', () => {
  it('are 0 where none is ready', () => {
    expect(new ReadyAges().oldestMs(5000)).to.equal(0);
  });

  it('follow the one that waits longest, whichever goes first', () => {
    const ages = new ReadyAges();
    ages.enter(3, 1000);
    ages.enter(9, 1900);
    ages.enter(5000, 4000);
    expect(ages.oldestMs(6000)).to.equal(5000);
    ages.leave(3);
    expect(ages.oldestMs(6000)).to.equal(5000);
    ages.leave(9);
    expect(ages.oldestMs(6000)).to.equal(2000);
    ages.enter(3, 5000);
    ages.leave(5000);
    expect(ages.oldestMs(6000)).to.equal(1000);
    ages.leave(3);
    expect(ages.oldestMs(6000)).to.equal(0);
  });

  it('are never negative, even where the clock is set back', () => {
    const ages = new ReadyAges();
    ages.enter(0, 5000);
    expect(ages.oldestMs(4000)).to.equal(0);
  });
});
