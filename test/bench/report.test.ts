import { expect } from 'chai';
import { heartbeatsIn } from './heartbeats.ts';
import { number, rowsOf } from './measure.ts';
import type { Reading } from './measure.ts';
import { costATaskOf, jsonOf, spreadOf, tableOf, textOf } from './report.ts';

/** Goal: what is printed is what was measured. Method: figures small enough for the head. */
const WRITTEN = { pageBytes: 200, inserted: 0, updated: 20, hot: 19, deleted: 10 };

function reading(value: number, more: Partial<NonNullable<Reading['cost']>> = {}): Reading {
  return {
    ...{ what: 'a drain', unit: 'tasks/s', value },
    cost: {
      seconds: 1,
      cpu: { postgres: 0.0002, leader: 0.0001, others: 0.00005, client: 0.00001 },
      ...{ walBytes: 4000, written: WRITTEN, rss: 64 * 1024 * 1024, tasks: 10, ...more },
    },
  };
}

describe('figures over runs', () => {
  it('have a median between the smallest and the largest', () => {
    expect(spreadOf([5, 1, 9])).to.deep.equal({ median: 5, min: 1, max: 9 });
    expect(spreadOf([10, 2, 4, 8])).to.deep.equal({ median: 6, min: 2, max: 10 });
    expect(spreadOf([])).to.deep.equal({ median: NaN, min: NaN, max: NaN });
  });

  it('are gathered by what they are of, in the order in which that came first', () => {
    const other: Reading = { what: 'b', unit: 'ms', value: 7 };
    const rows = rowsOf([reading(1), other, reading(3), other]);
    expect(rows.map(({ what, values }) => [what, values])).to.deep.equal([
      ['a drain', [1, 3]],
      ['b', [7, 7]],
    ]);
    expect(rows.map(({ costs }) => costs.length)).to.deep.equal([2, 0]);
  });

  it('are printed with three digits that count', () => {
    const values = [0.12345, 9.876, 12.345, 123.4, 1_234_567, NaN];
    expect(values.map(number)).to.deep.equal(['0.12', '9.88', '12.3', '123', '1,234,567', '–']);
  });
});

describe('what a task costs', () => {
  it('is the median of each part, divided by the tasks of its run', () => {
    const [row] = rowsOf([reading(1), reading(1, { tasks: 20, walBytes: 12_000 }), reading(1)]);
    expect(row && costATaskOf(row)).to.deep.include({
      ...{ postgresMicros: 20, leaderMicros: 10, othersMicros: 5 },
      ...{ walBytes: 400, walBytesLessPages: 380, rowVersions: 2, hotUpdates: 1.9 },
      rssBytes: 64 * 1024 * 1024,
    });
  });

  it('leaves out what the log no longer tells, in all runs where it does in one', () => {
    const [row] = rowsOf([reading(1), reading(1, { written: undefined })]);
    const cost = row && costATaskOf(row);
    expect(cost?.rowVersions).to.equal(undefined);
    expect(cost?.walBytesLessPages).to.equal(undefined);
    expect(cost?.walBytes).to.equal(400);
  });
});

describe('the report of a benchmark', () => {
  const measured = {
    rows: rowsOf([reading(10_000), reading(30_000), { what: 'b', unit: 'ms', value: 1.5 }]),
    heartbeats: heartbeatsIn(`skein_heartbeat_seconds_bucket{le="0.02",kind="lock"} 3`),
  };

  it('is a table of Markdown, each line with as many cells', () => {
    const lines = tableOf(measured.rows).split('\n');
    expect(lines.map((line) => line.split(' | ').length)).to.deep.equal([9, 9, 9, 9]);
    const figures = 'a drain | 20,000 tasks/s (10,000 – 30,000)';
    const costs = '20.0 | 10.0 | 5.00 | 1.00 | 400 (380) | 2.00 (1.90) | 64';
    expect(lines[2]).to.equal(`| ${figures} | ${costs} |`);
    expect(lines[3]).to.match(/^\| b \| 1\.50 ms \|  \|/);
  });

  it('says of each scenario that has no figure why', () => {
    const text = textOf([
      { name: 'drain', measured, fault: undefined },
      { name: 'chain', measured: undefined, fault: 'no figure: 3 not completed' },
    ]);
    expect(text).to.contain('p99.9 of 3 heartbeats: at most 20.0 ms');
    expect(text.split('\n').at(-1)).to.equal('chain: no figure: 3 not completed');
  });

  it('survives JSON, every value of every run in it', () => {
    const reports = [{ name: 'drain', measured, fault: undefined }];
    const { scenarios } = JSON.parse(JSON.stringify(jsonOf(reports))) as {
      scenarios: { rows: object[]; heartbeats: object }[];
    };
    expect(scenarios[0]?.rows[0]).to.deep.include({
      ...{ what: 'a drain', unit: 'tasks/s', values: [10_000, 30_000] },
      ...{ median: 20_000, min: 10_000, max: 30_000 },
    });
    expect(scenarios[0]?.heartbeats).to.deep.include({ count: 3, p999AtMostSeconds: 0.02 });
  });
});
