import type { Clock } from '../base/clock.ts';
import { errors } from '../base/errors.ts';
import type { LogPosition, LogRecord } from '../store/log-reader.ts';
import type { ApiRequest, ApiResponse, Endpoint } from './endpoint.ts';
import type { LogReaderPort, TaskReaderPort } from './ports.ts';
import { Query } from './query.ts';

/**
 * What the runs of a task have said. It comes from PostgreSQL, whatever node is asked: the nodes that run
 * tasks bring it there ten times a second, and who follows looks four times a second. So a line is seen
 * within half a second, a follower notices nothing of the death of the node that runs the task (the lines
 * of the next attempt follow), and an idle cluster pays nothing. A way to the running node would be quicker
 * by that, and would end with it.
 *
 * What it does not promise: what a lease that is over says after another has begun is shown to who reads
 * later, in its place and marked, and not to who is following.
 */
export interface LogDeps {
  readonly clock: Clock;
  readonly tasks: TaskReaderPort;
  readonly logs: LogReaderPort;
}

const LOOK_MS = 250;
/** After the end of its task, what the last run said may still be under way for so long. */
const LAST_WORDS_MS = 750;
const FOLLOWERS_MAX = 200;
const FORMATS = { text: 'text/plain; charset=utf-8', ndjson: 'application/x-ndjson' } as const;
const START: LogPosition = { leaseSeq: -1, chunk: -1 };

export function logEndpoints(deps: LogDeps): readonly Endpoint[] {
  const followers = { count: 0 };
  return [
    {
      method: 'GET',
      role: 'read',
      path: '/tasks/:id/logs',
      query: 'own',
      handle: (request) => getLogs(deps, request, followers),
    },
  ];
}

async function getLogs(
  deps: LogDeps,
  request: ApiRequest,
  followers: { count: number },
): Promise<ApiResponse> {
  const query = new Query(request.query, ['attempt', 'follow']);
  const attempt = query.count('attempt');
  const isFollowed = query.flag('follow');
  query.throwIfAny();
  const id = request.params['id'] ?? '';
  const task = id.includes('\0') ? null : await deps.tasks.find(id);
  if (task === null) throw errors.notFound(`the task ${id}`);
  if (isFollowed && followers.count >= FOLLOWERS_MAX) {
    throw errors.overloaded(`${String(FOLLOWERS_MAX)} logs are followed on this node already`);
  }
  const asked = { seq: task.seq, attempt, signal: request.signal };
  const pages = isFollowed ? counted(follow(deps, asked), followers) : readAll(deps, asked);
  const { accept = '' } = request.message.headers;
  const isJson = /json/.test(accept) && !/text\/plain/.test(accept);
  return {
    status: 200,
    headers: {
      'content-type': isJson ? FORMATS.ndjson : FORMATS.text,
      'cache-control': 'no-store',
    },
    text: '',
    stream: formatted(pages, isJson ? jsonLine : textLine),
  };
}

interface Asked {
  readonly seq: number;
  readonly attempt: number | null;
  readonly signal: AbortSignal;
}

async function* readAll(
  { logs }: LogDeps,
  { seq, attempt, signal }: Asked,
): AsyncGenerator<readonly LogRecord[]> {
  let position = START;
  while (!signal.aborted) {
    const { records, next } = await logs.read(seq, position, attempt);
    if (records.length === 0) return;
    yield records;
    position = next;
  }
}

/** Until the task has ended and nothing more has come for a while. */
async function* follow(
  deps: LogDeps,
  { seq, attempt, signal }: Asked,
): AsyncGenerator<readonly LogRecord[]> {
  const { clock, logs, tasks } = deps;
  let position = START;
  let quietMs: number | undefined;
  while (!signal.aborted) {
    // Asked before the look: what comes after the end is looked for again.
    const hasEnded = (await tasks.endedMany([seq])).length > 0;
    const { records, next } = await logs.read(seq, position, attempt);
    const nowMs = clock.monotonicMs();
    if (records.length > 0) {
      yield records;
      position = next;
      quietMs = undefined;
      continue;
    }
    quietMs = hasEnded ? (quietMs ?? nowMs) : undefined;
    if (quietMs !== undefined && nowMs - quietMs >= LAST_WORDS_MS) return;
    await clock.sleep(LOOK_MS, signal).catch(() => undefined);
  }
}

async function* counted<T>(source: AsyncIterable<T>, followers: { count: number }) {
  followers.count += 1;
  try {
    yield* source;
  } finally {
    followers.count -= 1;
  }
}

async function* formatted(
  pages: AsyncIterable<readonly LogRecord[]>,
  toLine: (record: LogRecord) => string,
): AsyncGenerator<string> {
  for await (const records of pages) yield records.map(toLine).join('');
}

function jsonLine(record: LogRecord): string {
  const { at, attempt, leaseSeq, node, level, message, fields, isStale } = record;
  const line = {
    ...{ at: at.toISOString(), attempt, lease_seq: leaseSeq, node, level, message },
    ...(fields === null ? {} : { fields: JSON.parse(fields) as unknown }),
    ...(isStale ? { stale: true } : {}),
  };
  return `${JSON.stringify(line)}\n`;
}

/** For people: what could move a terminal's cursor is shown and not done. */
function textLine({ at, attempt, level, message, fields, isStale }: LogRecord): string {
  const mark = isStale ? ' (stale)' : '';
  const said = fields === null ? message : `${message} ${fields}`;
  const shown = said.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  const head = `${at.toISOString()} [${String(attempt)}${mark}] ${level}`;
  return `${head} ${shown.replaceAll('\n', '\n    ')}\n`;
}
