import { expect } from 'chai';
import {
  CATCH_UP_MAX,
  decideFires,
  GRACE_MS,
  intervalTimes,
  nextFires,
  runIdOf,
  withinPeriod,
} from '../../node/core/schedule.ts';
import type { CatchUp, Decision, Overlap, Standing } from '../../node/core/schedule.ts';

/**
 * Goal: which fires a schedule makes of a time that has come, whatever its policies. Method: tables over
 * a schedule that fires every minute; instants are minutes, for people.
 */
const MINUTE = 60_000;
const EVERY_MINUTE = intervalTimes(MINUTE, 0);
const FIRES_MAX = 100;

const IDLE: Standing = {
  nextMs: 10 * MINUTE,
  heldMs: null,
  catchUp: 'all',
  overlap: 'allow',
  isRunning: false,
};

/** In minutes, and only what is not nothing. */
function decide(change: Partial<Standing>, now: number, firesMax = FIRES_MAX): object {
  const standing = { ...IDLE, ...change };
  const decided = decideFires(standing, EVERY_MINUTE, now * MINUTE, firesMax);
  return inMinutes(decided);
}

function inMinutes({ fires, nextMs, heldMs, ...rest }: Decision): object {
  const told = Object.entries(rest).filter(([, value]) => value !== 0 && value !== false);
  return {
    fires: fires.map((ms) => ms / MINUTE),
    next: nextMs === null ? null : nextMs / MINUTE,
    ...(heldMs === null ? {} : { held: heldMs / MINUTE }),
    ...Object.fromEntries(told),
  };
}

describe('the fires of a schedule', () => {
  it('are none before its time, which stays', () => {
    expect(decide({}, 9.99)).to.deep.equal({ fires: [], next: 10 });
    expect(decide({ nextMs: null }, 9.99)).to.deep.equal({ fires: [], next: null });
  });

  it('are the one at its very time, and the next is later than now', () => {
    expect(decide({}, 10)).to.deep.equal({ fires: [10], next: 11 });
    expect(decide({}, 10.9)).to.deep.equal({ fires: [10], next: 11 });
  });

  it('that are late by a minute at most are on time, whatever catch_up says', () => {
    for (const catchUp of ['none', 'last', 'all'] as const) {
      expect(decide({ catchUp }, 10 + GRACE_MS / MINUTE)).to.deep.include({ fires: [10, 11] });
    }
  });

  const late: readonly [CatchUp, number, object][] = [
    ['none', 20.5, { fires: [20], next: 21, missed: 10 }],
    ['last', 20.5, { fires: [20], next: 21, missed: 10 }],
    ['all', 12.5, { fires: [10, 11, 12], next: 13 }],
  ];
  for (const [catchUp, now, expected] of late) {
    it(`of a time without a leader, with catch_up ${catchUp}`, () => {
      expect(decide({ catchUp }, now)).to.deep.equal(expected);
    });
  }

  it('that were all missed: none with none, the last one with last', () => {
    const hourly = intervalTimes(60 * MINUTE, 0);
    const at = (catchUp: CatchUp) =>
      inMinutes(
        decideFires({ ...IDLE, nextMs: 60 * MINUTE, catchUp }, hourly, 190 * MINUTE, FIRES_MAX),
      );
    expect(at('none')).to.deep.equal({ fires: [], next: 240, missed: 3 });
    expect(at('last')).to.deep.equal({ fires: [180], next: 240, missed: 2 });
    expect(at('all')).to.deep.equal({ fires: [60, 120, 180], next: 240 });
  });

  it('come in portions, in order, until all are made up for', () => {
    expect(decide({}, 14.5, 2)).to.deep.equal({ fires: [10, 11], next: 12 });
    expect(decide({ nextMs: 12 * MINUTE }, 14.5, 2)).to.deep.equal({ fires: [12, 13], next: 14 });
    expect(decide({ nextMs: 14 * MINUTE }, 14.5, 2)).to.deep.equal({ fires: [14], next: 15 });
  });

  it('of a year without a leader are the latest thousand, found without counting all', () => {
    let steps = 0;
    const counted = {
      ...EVERY_MINUTE,
      after: (ms: number) => {
        steps += 1;
        return EVERY_MINUTE.after(ms);
      },
    };
    const year = 525_600;
    const { fires, nextMs } = decideFires(IDLE, counted, year * MINUTE, FIRES_MAX);
    expect(fires[0]).to.equal((year - CATCH_UP_MAX + 1) * MINUTE);
    expect(fires).to.have.length(FIRES_MAX);
    expect(nextMs).to.equal((fires.at(-1) as number) + MINUTE);
    expect(steps).to.be.below(2 * FIRES_MAX);
  });

  const overlaps: readonly [Overlap, Partial<Standing>, object][] = [
    ['allow', { isRunning: true }, { fires: [10, 11, 12], next: 13 }],
    ['skip', { isRunning: true }, { fires: [], next: 13, skipped: 3 }],
    ['skip', { isRunning: false }, { fires: [10], next: 13, skipped: 2 }],
    ['buffer_one', { isRunning: true }, { fires: [], next: 13, held: 10, skipped: 2 }],
    ['buffer_one', { isRunning: false }, { fires: [10], next: 13, held: 11, skipped: 1 }],
    [
      'buffer_one',
      { isRunning: true, heldMs: 9 * MINUTE },
      { fires: [], next: 13, held: 9, skipped: 3 },
    ],
    [
      'buffer_one',
      { isRunning: false, heldMs: 9 * MINUTE },
      { fires: [9], next: 13, held: 10, skipped: 2 },
    ],
    [
      'cancel_running',
      { isRunning: true },
      { fires: [12], next: 13, skipped: 2, cancelsRunning: true },
    ],
    ['cancel_running', { isRunning: false }, { fires: [12], next: 13, skipped: 2 }],
  ];
  for (const [overlap, change, expected] of overlaps) {
    const beside = change.isRunning === true ? 'beside a run' : 'alone';
    const holding = change.heldMs === undefined ? '' : ', one held';
    it(`with overlap ${overlap}, ${beside}${holding}`, () => {
      expect(decide({ overlap, ...change }, 12.5)).to.deep.equal(expected);
    });
  }

  it('a held one goes as soon as the run has ended, and nothing is cancelled for none', () => {
    const held = { overlap: 'buffer_one', heldMs: 9 * MINUTE } as const;
    expect(decide(held, 9.5)).to.deep.equal({ fires: [9], next: 10 });
    expect(decide({ overlap: 'cancel_running', isRunning: true }, 9.5)).to.deep.equal({
      fires: [],
      next: 10,
    });
  });
});

describe('the instants of a schedule', () => {
  it('of an interval are counted from its anchor, before and after it', () => {
    const times = intervalTimes(1000, 250);
    expect(nextFires(times, -2000, 4)).to.deep.equal([-1750, -750, 250, 1250]);
    expect(times.after(1250)).to.equal(2250);
    expect(times.latest(1250, 2)).to.deep.equal([250, 1250]);
    expect(times.latest(1249, 2)).to.deep.equal([-750, 250]);
  });

  it('end with its period, whose ends are in it', () => {
    const times = withinPeriod(intervalTimes(1000, 0), { startMs: 2000, endMs: 4000 });
    expect(nextFires(times, 0, 10)).to.deep.equal([2000, 3000, 4000]);
    expect(times.after(4000)).to.equal(null);
    expect(times.latest(10_000, 10)).to.deep.equal([2000, 3000, 4000]);
  });

  it('name their runs in UTC', () => {
    const ms = Date.UTC(2026, 10, 21, 7, 30);
    expect(runIdOf('nightly', ms)).to.equal('nightly@2026-11-21T07:30:00.000Z');
  });
});
