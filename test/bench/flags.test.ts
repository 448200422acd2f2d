import { expect } from 'chai';
import { flagsOf } from './flags.ts';

/** Goal: what is asked for is what is run, and nonsense is refused before anything is. */
describe('the flags of the benchmark', () => {
  const NAMES = ['drain', 'chain', 'idle'];
  const of = (...args: string[]) => flagsOf(args, NAMES);

  it('ask for everything, five times, unless they say less', () => {
    expect(of()).to.deep.equal({
      ...{ only: NAMES, runs: 5, tasks: 100_000 },
      ...{ peers: false, json: false, help: false },
    });
  });

  it('name scenarios in one list or several, which are run in their own order', () => {
    expect(of('--only', 'idle,drain').only).to.deep.equal(['drain', 'idle']);
    expect(of('--only', 'chain', '--only', 'drain').only).to.deep.equal(['drain', 'chain']);
  });

  it('ask for the peers alone, or beside what is named', () => {
    expect(of('--peers')).to.deep.include({ only: [], peers: true });
    expect(of('--peers', '--only', 'idle')).to.deep.include({ only: ['idle'], peers: true });
  });

  const refused: readonly (readonly [string, readonly string[]])[] = [
    ['a scenario that does not exist', ['--only', 'drian']],
    ['no run at all', ['--runs', '0']],
    ['half a run', ['--runs', '1.5']],
    ['too few tasks to say anything', ['--tasks', '99']],
    ['a flag that does not exist', ['--quick']],
    ['words', ['fast']],
  ];
  for (const [name, args] of refused) {
    it(`refuse ${name}`, () => {
      expect(() => of(...args)).to.throw();
    });
  }
});
