import { expect } from 'chai';
import fc from 'fast-check';
import { faultOfCron, fireTimesOf, isTimeZone } from '../../node/calendar/fire-times.ts';
import { nextFires } from '../../node/core/schedule.ts';

/**
 * Goal: an expression fires when a user of cron expects it, also where the clocks change; what is wrong
 * with one is said. Method: days of Berlin and New York on which the clocks changed, and random instants
 * at which looking forward and looking back must agree.
 */
const ALWAYS = { startMs: null, endMs: null };

function fires(cron: string, timeZone: string, after: string, count: number): readonly string[] {
  const times = fireTimesOf({ kind: 'cron', cron, timeZone }, ALWAYS);
  return nextFires(times, Date.parse(after), count).map((ms) =>
    new Date(ms).toISOString().replace('.000Z', 'Z'),
  );
}

describe('the fires of a cron expression', () => {
  it('follow the clocks of its time zone', () => {
    expect(fires('0 9 * * MON-FRI', 'America/New_York', '2026-11-20T15:00:00Z', 2)).to.deep.equal([
      '2026-11-23T14:00:00Z',
      '2026-11-24T14:00:00Z',
    ]);
    expect(fires('@daily', 'UTC', '2026-11-20T15:00:00Z', 1)).to.deep.equal([
      '2026-11-21T00:00:00Z',
    ]);
  });

  it('may be seconds apart, by a sixth field in front', () => {
    expect(fires('*/20 * * * * *', 'UTC', '2026-11-20T15:00:00Z', 3)).to.deep.equal([
      '2026-11-20T15:00:20Z',
      '2026-11-20T15:00:40Z',
      '2026-11-20T15:01:00Z',
    ]);
  });

  it('at a fixed time in the gap of spring come right after it, on that day alone', () => {
    expect(fires('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).to.deep.equal([
      '2026-03-29T01:00:00Z',
      '2026-03-30T00:30:00Z',
    ]);
  });

  it('at a fixed time that comes twice in autumn come the first time only', () => {
    expect(fires('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).to.deep.equal([
      '2026-10-25T00:30:00Z',
      '2026-10-26T01:30:00Z',
    ]);
  });

  it('that repeat within the hour leave the gap out, and come in both hours that are one', () => {
    expect(fires('*/30 * * * *', 'Europe/Berlin', '2026-03-29T00:20:00Z', 3)).to.deep.equal([
      '2026-03-29T00:30:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-29T01:30:00Z',
    ]);
    expect(fires('15 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 4)).to.deep.equal([
      '2026-10-25T00:15:00Z',
      '2026-10-25T01:15:00Z',
      '2026-10-25T02:15:00Z',
      '2026-10-25T03:15:00Z',
    ]);
  });

  it('that can never be are none, and found so at once', () => {
    expect(fires('0 0 30 2 *', 'UTC', '2026-11-20T15:00:00Z', 1)).to.deep.equal([]);
    expect(fires('0 0 29 2 *', 'UTC', '2026-11-20T15:00:00Z', 1)).to.deep.equal([
      '2028-02-29T00:00:00Z',
    ]);
  });

  it('are the same looking back as looking forward', () => {
    const crons = ['* * * * * *', '*/7 * * * *', '30 2 * * *', '0 9 * * 1', '0 */6 1,15 * *'];
    const zones = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'];
    const from = Date.UTC(2026, 0, 1);
    const year = 365 * 24 * 3600;
    fc.assert(
      fc.property(
        fc.constantFrom(...crons),
        fc.constantFrom(...zones),
        fc.integer({ min: 0, max: year }),
        (cron, timeZone, seconds) => {
          const times = fireTimesOf({ kind: 'cron', cron, timeZone }, ALWAYS);
          const ahead = nextFires(times, from + seconds * 1000, 3);
          const last = ahead.at(-1) as number;
          expect(times.latest(last, 3)).to.deep.equal(ahead);
          expect(times.latest(last + 999, 1)).to.deep.equal([last]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a schedule that cannot be', () => {
  const faults: readonly [string, RegExp][] = [
    ['', /^must have 5 fields, or 6 with seconds first, and has 0$/],
    ['* * * *', /and has 4$/],
    ['* * * * * * *', /and has 7$/],
    ['61 * * * *', /^invalid value for minute: 61$/],
    ['* * * * FUNDAY', /FUNDAY/],
    ['*/0 * * * *', /step/],
    ['2026-01-01T00:00:00', /has 1$/],
    ['@reboot', /^@reboot is no known nickname; there are @yearly/],
    ['@every 5m', /^@every 5m is no known nickname/],
    ['* '.repeat(200), /128 characters/],
  ];
  for (const [cron, expected] of faults) {
    it(`says what is wrong with "${cron.slice(0, 30)}"`, () => {
      expect(faultOfCron(cron)).to.match(expected);
    });
  }

  it('nothing is wrong with those that fire', () => {
    for (const cron of [
      '* * * * *',
      '0 0 * * * *',
      '@hourly',
      '@MIDNIGHT',
      '0 12 L * *',
      ' 1 1 * * ? ',
    ]) {
      expect(faultOfCron(cron), cron).to.equal(undefined);
    }
  });

  it('knows time zones from what is none', () => {
    for (const name of ['UTC', 'Europe/Berlin', 'America/New_York', 'Etc/GMT+5']) {
      expect(isTimeZone(name), name).to.equal(true);
    }
    for (const name of ['', 'Mars/Olympus', '+02:00', 'Berlin']) {
      expect(isTimeZone(name), name).to.equal(false);
    }
  });
});
