import { expect } from 'chai';
import fc from 'fast-check';
import { criticalPathMs, idealMakespanMs } from '../../node/core/ideal-schedule.ts';
import type { ScheduledTask } from '../../node/core/ideal-schedule.ts';

/**
 * Goal: the yardstick is right. Method: graphs small enough for the head, and random ones against
 * the bounds that every schedule obeys.
 */
function task(durationMs: number, ...dependencies: readonly number[]): ScheduledTask {
  return { durationMs, dependencies };
}

describe('idealMakespanMs', () => {
  const cases: readonly {
    name: string;
    tasks: readonly ScheduledTask[];
    slots: number;
    ms: number;
    path: number;
  }[] = [
    { name: 'nothing to do', tasks: [], slots: 1, ms: 0, path: 0 },
    {
      name: 'a chain, whatever the slots',
      tasks: [task(3), task(4, 0), task(5, 1)],
      slots: 9,
      ms: 12,
      path: 12,
    },
    {
      name: 'independent tasks in rounds',
      tasks: [task(2), task(2), task(2)],
      slots: 2,
      ms: 4,
      path: 2,
    },
    {
      name: 'a diamond on two slots',
      tasks: [task(1), task(5, 0), task(3, 0), task(1, 1, 2)],
      slots: 2,
      ms: 7,
      path: 7,
    },
    {
      name: 'the longest path first, though it begins with the shortest task',
      tasks: [task(4), task(4), task(1), task(8, 2)],
      slots: 2,
      ms: 9,
      path: 9,
    },
    {
      name: 'all that ends at one moment before the next start',
      // At 5 both slots come free; the short independent task must not take one before the three
      // that become ready at that moment, of which two are longer.
      tasks: [...[task(2), task(5), task(3, 0), task(3, 2)], ...[task(1), task(5, 2), task(4, 2)]],
      slots: 2,
      ms: 12,
      path: 10,
    },
    {
      name: 'tasks of no length',
      tasks: [task(0), task(0, 0), task(7, 1)],
      slots: 1,
      ms: 7,
      path: 7,
    },
    { name: 'a dependency named twice', tasks: [task(2), task(3, 0, 0)], slots: 1, ms: 5, path: 5 },
  ];
  for (const { name, tasks, slots, ms, path } of cases) {
    it(`schedules ${name}`, () => {
      expect(idealMakespanMs(tasks, slots)).to.equal(ms);
      expect(criticalPathMs(tasks)).to.equal(path);
    });
  }

  it('refuses a cycle, a dependency that is no task, and a machine without slots', () => {
    expect(() => idealMakespanMs([task(1, 1), task(1, 0)], 1)).to.throw(/cycle/);
    expect(() => criticalPathMs([task(1, 1), task(1, 0)])).to.throw(/cycle/);
    expect(() => idealMakespanMs([task(1, 7)], 1)).to.throw(/depends on 7/);
    for (const slots of [0, -1, 1.5, Number.NaN]) {
      expect(() => idealMakespanMs([task(1)], slots)).to.throw(/slots/);
    }
  });

  /** Each task depends on earlier ones only. */
  const graphs = fc
    .array(fc.tuple(fc.nat(50), fc.array(fc.nat(), { maxLength: 4 })), { maxLength: 60 })
    .map((rows) =>
      rows.map(([durationMs, picks], place) => ({
        durationMs,
        dependencies: place === 0 ? [] : picks.map((pick) => pick % place),
      })),
    );

  it('is never below the critical path nor the work over the slots, nor above both together', () => {
    fc.assert(
      fc.property(graphs, fc.integer({ min: 1, max: 12 }), (tasks, slots) => {
        const work = tasks.reduce((sum, { durationMs }) => sum + durationMs, 0);
        const path = criticalPathMs(tasks);
        const ms = idealMakespanMs(tasks, slots);
        expect(ms).to.be.at.least(path);
        expect(ms).to.be.at.least(work / slots);
        // Graham's bound, which holds for any schedule that leaves no slot idle.
        expect(ms).to.be.at.most(work / slots + path * (1 - 1 / slots) + 1e-9);
      }),
    );
  });

  it('takes the critical path with a slot for each, and all the work with one', () => {
    fc.assert(
      fc.property(graphs, (tasks) => {
        expect(idealMakespanMs(tasks, tasks.length + 1)).to.equal(criticalPathMs(tasks));
        const work = tasks.reduce((sum, { durationMs }) => sum + durationMs, 0);
        expect(idealMakespanMs(tasks, 1)).to.equal(work);
      }),
    );
  });
});
