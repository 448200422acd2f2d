import { expect } from 'chai';
import fc from 'fast-check';
import { stripVTControlCharacters, styleText } from 'node:util';
import { doneOf, leftMsOf, progressBar, progressLine } from '../../node/cli/progress.ts';
import type { Progress } from '../../node/cli/progress.ts';
import { widthOf } from '../../node/cli/terminal.ts';
import type { Paint } from '../../node/cli/terminal.ts';
import { clockTime, parseTime, spokenTime } from '../../node/cli/time.ts';

const colours: Paint = (format, text) => styleText(format, text, { validateStream: false });

const HALF: Progress = {
  title: 'montage-0',
  counts: { QUEUED: 40, RUNNING: 10, COMPLETED: 45, FAILED: 5 },
  total: 100,
  elapsedMs: 4000,
  leftMs: 4000,
};

describe('progressBar', () => {
  const cases: readonly (readonly [string, Progress, number, string])[] = [
    [
      'all there is where there is room',
      HALF,
      120,
      'montage-0 ━━━━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌' +
        ' 50/100 50% · 10 running · 40 queued · 5 failed · 0:04 · 0:04 left',
    ],
    [
      'less of it where there is less',
      HALF,
      72,
      'montage-0 ━━━━━━━╌╌╌╌╌╌╌ 50/100 50% · 10 running · 40 queued · 5 failed',
    ],
    ['the numbers alone on a tiny one', HALF, 20, '50/100 50%'],
    [
      'no time left before anything was done',
      { ...HALF, counts: { QUEUED: 100 }, leftMs: null },
      70,
      'montage-0 ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 0/100 0% · 100 queued · 0:04',
    ],
    [
      'a full bar at the end',
      { ...HALF, counts: { COMPLETED: 100 }, leftMs: 0 },
      60,
      'montage-0 ━━━━━━━━━━━━━━━━━ 100/100 100% · 0:04 · 0:00 left',
    ],
    [
      'nothing to do as done',
      { ...HALF, counts: {}, total: 0, leftMs: 0 },
      60,
      'montage-0 ━━━━━━━━━━━━━━━━━━━━━ 0/0 100% · 0:04 · 0:00 left',
    ],
  ];
  for (const [name, progress, columns, expected] of cases) {
    it(`shows ${name}`, () => {
      expect(progressBar(progress, columns)).to.equal(expected);
    });
  }

  it('says 100% only when the last one has ended', () => {
    const almost = { ...HALF, counts: { COMPLETED: 9999, RUNNING: 1 }, total: 10_000 };
    expect(progressBar(almost, 120)).to.include('9999/10000 99%');
  });

  it('colours what failed, and is as long with colours as without', () => {
    const bar = progressBar(HALF, 120, colours);
    expect(bar).to.include(styleText('red', '━━', { validateStream: false }));
    expect(stripVTControlCharacters(bar)).to.equal(progressBar(HALF, 120));
  });

  it('fits on one line of any terminal, whatever the title', () => {
    const count = fc.nat(1_000_000);
    fc.assert(
      fc.property(
        fc.record({
          title: fc.string({ unit: 'grapheme', maxLength: 60 }),
          columns: fc.integer({ min: 12, max: 300 }),
        }),
        fc.record({
          QUEUED: count,
          RUNNING: count,
          COMPLETED: count,
          FAILED: count,
          SKIPPED: count,
        }),
        fc.option(fc.nat(1e9)),
        ({ title, columns }, counts, leftMs) => {
          const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
          const bar = progressBar({ title, counts, total, elapsedMs: 1e6, leftMs }, columns);
          expect(bar).not.to.match(/[\r\n\u001b]/);
          expect(widthOf(bar)).to.be.below(columns);
        },
      ),
    );
  });
});

describe('progressLine', () => {
  it('is for logs: the same without a bar', () => {
    expect(progressLine(HALF)).to.equal(
      'montage-0 50/100 50% · 10 running · 40 queued · 5 failed · 0:04 · 0:04 left',
    );
  });
});

describe('leftMsOf', () => {
  const cases = [
    {
      what: 'half done in 4 s',
      seen: { done: 50, doneAtFirst: 0, total: 100, elapsedMs: 4000 },
      left: 4000,
    },
    {
      what: 'only what was done while we watched',
      seen: { done: 90, doneAtFirst: 80, total: 100, elapsedMs: 4000 },
      left: 4000,
    },
    {
      what: 'no idea at first',
      seen: { done: 80, doneAtFirst: 80, total: 100, elapsedMs: 9 },
      left: null,
    },
    {
      what: 'nothing left',
      seen: { done: 100, doneAtFirst: 100, total: 100, elapsedMs: 9 },
      left: 0,
    },
  ];
  for (const { what, seen, left } of cases) {
    it(`tells ${what}`, () => {
      expect(leftMsOf(seen)).to.equal(left);
    });
  }

  it('counts every end as done', () => {
    expect(
      doneOf({ counts: { COMPLETED: 1, FAILED: 2, CANCELLED: 4, SKIPPED: 8, QUEUED: 16 } }),
    ).to.equal(15);
  });
});

describe('times', () => {
  it('are read in the units people write', () => {
    const read = ['30s', '500ms', '2m', '1h30m', '1.5s', '0', '250'].map(parseTime);
    expect(read).to.deep.equal([30_000, 500, 120_000, 5_400_000, 1500, 0, 250]);
    for (const text of ['', 's', '30 s', '-1s', '1d', '1.2.3s', 'soon', '1e3']) {
      expect(parseTime(text), text).to.equal(undefined);
    }
  });

  it('are written short', () => {
    expect([0, 7999, 754_000, 3_723_000].map(clockTime)).to.deep.equal([
      '0:00',
      '0:07',
      '12:34',
      '1:02:03',
    ]);
    expect([0, 431, 4310, 125_000].map(spokenTime)).to.deep.equal([
      '0 ms',
      '431 ms',
      '4.31 s',
      '2 min 5 s',
    ]);
  });
});
