import { AbortReason, ChangedTo, SettledAs } from '../core/messages.ts';
import type {
  Aborts,
  Ended,
  Follow,
  FromLeader,
  FromNode,
  Grants,
  Heartbeat,
  Hello,
  News,
  Prospected,
  Recall,
  Told,
} from '../core/messages.ts';
import { Phase } from '../core/task-graph.ts';
import { EndCode } from '../core/task.ts';
import type { FromLeader as WireFromLeader } from './generated/skein/v1/FromLeader.ts';
import type { FromLeader__Output } from './generated/skein/v1/FromLeader.ts';
import type { FromNode as WireFromNode } from './generated/skein/v1/FromNode.ts';
import type { FromNode__Output } from './generated/skein/v1/FromNode.ts';
import type { Aborts__Output } from './generated/skein/v1/Aborts.ts';
import type { Ended__Output } from './generated/skein/v1/Ended.ts';
import type { Grants__Output } from './generated/skein/v1/Grants.ts';
import type { Heartbeat__Output } from './generated/skein/v1/Heartbeat.ts';
import type { Hello__Output } from './generated/skein/v1/Hello.ts';
import type { Follow__Output } from './generated/skein/v1/Follow.ts';
import type { News__Output } from './generated/skein/v1/News.ts';
import type { Prospect__Output } from './generated/skein/v1/Prospect.ts';
import type { Recall__Output } from './generated/skein/v1/Recall.ts';
import type { Told__Output } from './generated/skein/v1/Told.ts';

/**
 * The border between the wire and core/messages.ts. A frame is either wholly sound or refused with
 * its fault named, because a half-understood one would pair a task with another task's lease:
 * columns are of one length, 64-bit numbers are safe integers (beyond 2^53 the loader rounds them),
 * codes are known. 32-bit numbers need no check: the decoder cannot make anything else of them.
 */
export type Parsed<Frame> =
  { readonly frame: Frame; readonly fault?: never } | { readonly fault: string };

export function parseFromNode(wire: FromNode__Output): Parsed<FromNode> {
  const { hello, heartbeat, told, look, submitted, watch, unwatch, ask, follow } = wire;
  const { nodesChanged } = wire;
  const fault =
    (hello && faultOfHello(hello)) ??
    (heartbeat && faultOfHeartbeat(heartbeat)) ??
    (told && faultOfTold(told)) ??
    (submitted && faultOfNumbers('submitted.seq', [submitted.seq])) ??
    faultOfNumbers('watch', watch) ??
    faultOfNumbers('unwatch', unwatch) ??
    (ask && faultOfNumbers('ask.number and ask.seq', [ask.number, ask.seq])) ??
    (follow && faultOfFollow(follow));
  if (typeof fault === 'string') return { fault };
  return {
    frame: {
      hello: hello ?? undefined,
      heartbeat: heartbeat ?? undefined,
      // Each code was found to be one of SettledAs.
      told: (told as Told | null) ?? undefined,
      look,
      submitted: submitted ?? undefined,
      watch,
      unwatch,
      ask: ask ?? undefined,
      follow: follow ?? undefined,
      nodesChanged,
    },
  };
}

export function parseFromLeader(wire: FromLeader__Output): Parsed<FromLeader> {
  const { term, number, grants, aborts, recall, answer, toldThrough, ended, goodbye } = wire;
  const { prospect, news, drain } = wire;
  const fault =
    faultOfNumbers('term, number and told_through', [term, number, toldThrough]) ??
    (grants && faultOfGrants(grants)) ??
    faultOfAborts(aborts) ??
    (recall && faultOfLeases('recall', recall)) ??
    (answer && faultOfNumbers('answer.number', [answer.number])) ??
    (ended && faultOfEnded(ended)) ??
    (prospect && faultOfProspect(prospect)) ??
    (news && faultOfNews(news));
  if (typeof fault === 'string') return { fault };
  return {
    frame: {
      term,
      number,
      grants: grants ?? undefined,
      aborts: aborts.map(({ seqs, leaseSeqs, reason }) => ({
        seqs,
        leaseSeqs,
        reason: knownReason(reason),
      })),
      recall: recall ?? undefined,
      answer: answer ?? undefined,
      toldThrough,
      ended: ended ?? undefined,
      // Its phase was found to be one.
      prospect: (prospect as Prospected | null) ?? undefined,
      news: news ?? undefined,
      drain: drain ?? undefined,
      goodbye,
    },
  };
}

/** The same object under its wire type, which fails to say that it only reads its arrays. */
export function toWireFromNode(frame: FromNode): WireFromNode {
  return frame as WireFromNode;
}

export function toWireFromLeader(frame: FromLeader): WireFromLeader {
  return frame as WireFromLeader;
}

/** What a frame weighs in memory while it waits to be sent, roughly: 8 bytes a number. */
export function bytesOfFromNode(frame: FromNode): number {
  const { hello, heartbeat, told, watch, unwatch } = frame;
  let numbers = (heartbeat?.seqs.length ?? 0) * 2 + (told?.seqs.length ?? 0) * 7;
  numbers += (frame.follow?.seqs.length ?? 0) + (frame.follow?.dropped.length ?? 0);
  numbers += (watch?.length ?? 0) + (unwatch?.length ?? 0) + (frame.ask?.typeIds.length ?? 0);
  const text = hello === undefined ? 0 : hello.name.length + hello.types.join().length;
  return FRAME_BYTES + text + numbers * 8;
}

export function bytesOfFromLeader(frame: Omit<FromLeader, 'number'>): number {
  let numbers = (frame.grants?.seqs.length ?? 0) * 4 + (frame.ended?.seqs.length ?? 0) * 2;
  numbers += (frame.recall?.seqs.length ?? 0) * 2;
  numbers += frame.prospect?.typeMeansMs.length ?? 0;
  if (frame.news !== undefined) numbers += numbersOfNews(frame.news);
  for (const { seqs } of frame.aborts ?? []) numbers += seqs.length * 2;
  return FRAME_BYTES + numbers * 8;
}

function numbersOfNews({ seqs, holderIds, ended, endedSeqs, readyMs, runMs }: News): number {
  const singles = ended.length + endedSeqs.length + readyMs.length + runMs.length;
  return seqs.length * 3 + holderIds.length * 2 + singles;
}

/** The objects around the columns. */
const FRAME_BYTES = 256;

type Fault = string | undefined;

function faultOfHello({ nodeId, name, termSeen }: Hello | Hello__Output): Fault {
  if (name === '') return 'hello.name is empty';
  return faultOfNumbers('hello.node_id and hello.term_seen', [nodeId, termSeen]);
}

function faultOfHeartbeat(heartbeat: Heartbeat | Heartbeat__Output): Fault {
  const { number, processed, seqs, leaseSeqs } = heartbeat;
  return (
    faultOfNumbers('heartbeat.number and heartbeat.processed', [number, processed]) ??
    faultOfLengths('heartbeat', seqs, [leaseSeqs]) ??
    faultOfNumbers('heartbeat.seqs', seqs)
  );
}

function faultOfTold(told: Told | Told__Output): Fault {
  const { number, seqs, leaseSeqs, settledAs, nextLeaseSeqs, attempts, runAtMs, runMs } = told;
  const fault =
    faultOfNumbers('told.number', [number]) ??
    faultOfLengths('told', seqs, [leaseSeqs, settledAs, nextLeaseSeqs, attempts, runAtMs]) ??
    (runMs.length === 0 ? undefined : faultOfLengths('told', seqs, [runMs])) ??
    faultOfNumbers('told.seqs', seqs) ??
    faultOfCodes('told.settled_as', settledAs, SettledAs.RELEASED);
  if (fault !== undefined) return fault;
  // A time may carry a fraction of a millisecond: PostgreSQL counts microseconds.
  const wrong = runAtMs.find((ms) => !(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER));
  return wrong === undefined ? undefined : `told.run_at_ms has ${String(wrong)}`;
}

function faultOfGrants({ seqs, leaseSeqs, attempts, losses }: Grants | Grants__Output): Fault {
  return (
    faultOfLengths('grants', seqs, [leaseSeqs, attempts, losses]) ??
    faultOfNumbers('grants.seqs', seqs)
  );
}

function faultOfAborts(aborts: readonly (Aborts | Aborts__Output)[]): Fault {
  for (const leases of aborts) {
    const fault = faultOfLeases('aborts', leases);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function faultOfLeases(field: string, leases: Recall | Recall__Output): Fault {
  const { seqs, leaseSeqs } = leases;
  return faultOfLengths(field, seqs, [leaseSeqs]) ?? faultOfNumbers(`${field}.seqs`, seqs);
}

function faultOfEnded({ seqs, codes }: Ended | Ended__Output): Fault {
  return (
    faultOfLengths('ended', seqs, [codes]) ??
    faultOfNumbers('ended.seqs', seqs) ??
    faultOfCodes('ended.codes', codes, EndCode.SKIPPED)
  );
}

function faultOfProspect(prospect: Prospect__Output): Fault {
  const { number, ahead, held, typeRunning, phase } = prospect;
  if (phase > Phase.SETTLING) return `prospect.phase has the unknown code ${String(phase)}`;
  return faultOfNumbers('prospect', [number, ahead, held, typeRunning]);
}

function faultOfFollow({ seqs, dropped }: Follow | Follow__Output): Fault {
  return faultOfNumbers('follow.seqs', seqs) ?? faultOfNumbers('follow.dropped', dropped);
}

function faultOfNews(news: News | News__Output): Fault {
  const { seqs, changedTo, nodeIds, holderIds, held, endedSeqs, ended } = news;
  const wrong = changedTo.find((code) => code > ChangedTo.RUNNING);
  if (wrong !== undefined) return `news.changed_to has the unknown code ${String(wrong)}`;
  return (
    faultOfLengths('news', seqs, [changedTo, nodeIds]) ??
    faultOfLengths('news of holders', holderIds, [held]) ??
    faultOfNumbers('news.seqs', seqs) ??
    faultOfNumbers('news.node_ids', nodeIds) ??
    faultOfNumbers('news', [news.lastSeq, news.queued, ...holderIds, ...held, ...ended]) ??
    faultOfNumbers('news.ended_seqs', endedSeqs)
  );
}

function faultOfLengths(
  message: string,
  seqs: readonly number[],
  columns: readonly (readonly number[])[],
): Fault {
  for (const column of columns) {
    if (column.length === seqs.length) continue;
    return `${message} has ${String(seqs.length)} seqs beside a column of ${String(column.length)}`;
  }
  return undefined;
}

function faultOfNumbers(field: string, values: readonly number[]): Fault {
  for (const value of values) {
    if (!Number.isSafeInteger(value)) return `${field} has ${String(value)}, no safe integer`;
  }
  return undefined;
}

/** Codes count from 1 without a gap, in SettledAs as in EndCode. */
function faultOfCodes(field: string, codes: readonly number[], last: number): Fault {
  for (const code of codes) {
    if (code < 1 || code > last) return `${field} has the unknown code ${String(code)}`;
  }
  return undefined;
}

/** Why to stop is for the log only: what a newer leader may say is still an order to stop. */
function knownReason(reason: number): AbortReason {
  if (reason === AbortReason.CANCELLED || reason === AbortReason.NOT_YOURS) return reason;
  return AbortReason.UNKNOWN;
}
