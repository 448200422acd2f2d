import { inUnit, number } from '../measure.ts';
import { spreadOf } from '../report.ts';
import { textOf } from './compare.ts';
import type { PeersReport } from './compare.ts';
import { PEER_KINDS } from './peer.ts';
import type { PeerRound } from './peer.ts';

/** Ours by theirs, round by round. */
export function ratiosTo(
  { rounds }: PeersReport,
  name: string,
  of: keyof PeerRound,
): readonly number[] {
  return rounds.map(({ ours, theirs }) => ours[of] / (theirs[name]?.[of] ?? NaN));
}

const HEAD = ['', 'drain', 'bulk insert', 'ours to theirs, drain', 'insert', 'as'];

export function peersText(report: PeersReport): string {
  const { rounds, settings, skipped, tasks } = report;
  const rate = (values: readonly number[]): string => spreadText(values, 'tasks/s');
  const ours = (of: keyof PeerRound): string => rate(rounds.map((round) => round.ours[of]));
  const rows = Object.entries(settings).map(([name, used]) => {
    const theirs = (of: keyof PeerRound): string =>
      rate(rounds.map((round) => round.theirs[name]?.[of] ?? NaN));
    const ratio = (of: keyof PeerRound): string => spreadText(ratiosTo(report, name, of), 'times');
    const version = PEER_KINDS.find((kind) => kind.name === name)?.package ?? name;
    return [
      version,
      theirs('drain'),
      theirs('insert'),
      ratio('drain'),
      ratio('insert'),
      textOf(used),
    ];
  });
  const skein = [
    'skein',
    ours('drain'),
    ours('insert'),
    '',
    '',
    'nodes 3, slots 3, NDJSON over REST',
  ];
  return [
    `${number(tasks)} jobs that do nothing, in turns on one machine and one PostgreSQL:`,
    '',
    ...[HEAD, HEAD.map(() => '---'), skein, ...rows].map((cells) => `| ${cells.join(' | ')} |`),
    ...(skipped.length === 0 ? [] : ['', ...skipped]),
  ].join('\n');
}

function spreadText(values: readonly number[], unit: 'tasks/s' | 'times'): string {
  const { median, min, max } = spreadOf(values);
  return `${inUnit(median, unit)} (${number(min)} – ${number(max)})`;
}
