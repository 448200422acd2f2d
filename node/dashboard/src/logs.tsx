import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { pathOf, reasonOf } from './api.ts';
import { exact, said } from './format.ts';
import { Segments } from './parts.tsx';
import { credentials } from './session.ts';

/** What the runs of a task say, as they say it. The last lines are in the document, and no more. */
interface LogLine {
  readonly at: string;
  readonly attempt: number;
  readonly level: string;
  readonly message: string;
  readonly fields?: unknown;
  readonly stale?: boolean;
}

interface Numbered {
  readonly number: number;
  readonly line: LogLine;
}

const LINES_MAX = 1000;
const PAUSE_MS = 1000;
const LEVELS = [
  ['all', 'All'],
  ['warn', 'Warnings'],
  ['error', 'Errors'],
] as const;
type Level = (typeof LEVELS)[number][0];
const SHOWN: Readonly<Record<Level, readonly string[]>> = {
  all: [],
  warn: ['warn', 'error', 'fatal'],
  error: ['error', 'fatal'],
};

export function Logs(props: {
  readonly id: string;
  readonly isOver: boolean;
  readonly version: string;
}): JSX.Element {
  const { id, version } = props;
  const [lines, setLines] = useState<readonly Numbered[]>([]);
  const [fault, setFault] = useState('');
  const [level, setLevel] = useState<Level>('all');
  const place = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  useEffect(() => {
    const gone = new AbortController();
    let number = 0;
    setLines([]);
    setFault('');
    const take = (added: readonly LogLine[]): void => {
      const numbered = added.map((line) => ({ number: (number += 1), line }));
      setLines((before) => [...before, ...numbered].slice(-LINES_MAX));
    };
    follow(id, gone.signal, take).catch((thrown: unknown) => {
      if (!gone.signal.aborted) setFault(reasonOf(thrown));
    });
    return () => gone.abort();
  }, [id, version]);
  useEffect(() => {
    const element = place.current;
    if (element !== null && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  const shown = lines.filter(({ line }) => level === 'all' || SHOWN[level].includes(line.level));
  const first = lines[0]?.number ?? 1;
  return (
    <section class="card" aria-label="Logs">
      <div class="cardhead">
        <h2>Logs</h2>
        {lines.length === 0 ? null : (
          <Segments label="Level" of={LEVELS} at={level} onPick={setLevel} />
        )}
      </div>
      {fault === '' ? null : <p class="told">They cannot be read: {fault}.</p>}
      {lines.length === 0 ? (
        <p class="dim">
          It has said nothing{props.isOver ? '.' : ' yet.'} Handlers speak by <code>ctx.log</code>.
        </p>
      ) : (
        <div
          ref={place}
          class="logs"
          tabIndex={0}
          role="log"
          onScroll={(event) => {
            const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
            isAtEnd.current = scrollTop + clientHeight > scrollHeight - 24;
          }}
        >
          {first > 1 ? <p class="dim">{String(first - 1)} earlier lines are not shown.</p> : null}
          {shown.map((each) => (
            <Line key={each.number} line={each.line} />
          ))}
        </div>
      )}
    </section>
  );
}

function Line({ line }: { readonly line: LogLine }): JSX.Element {
  const { at, level, message, fields, attempt, stale } = line;
  return (
    <div class={`log ${level}`}>
      <time dateTime={at} title={exact(at)}>
        {at.slice(11, 23)}
      </time>
      <b>{level}</b>
      <span>
        {message}
        {fields === undefined ? null : <i> {said(fields)}</i>}
        {stale === true ? <i> (of lost attempt {attempt})</i> : null}
      </span>
    </div>
  );
}

/** Until the task has ended. A node that goes away in the middle is asked again, from the beginning. */
async function follow(
  id: string,
  signal: AbortSignal,
  take: (lines: readonly LogLine[]) => void,
): Promise<void> {
  const headers = { ...credentials(), accept: 'application/x-ndjson' };
  const response = await fetch(`${pathOf('tasks', id, 'logs')}?follow=1`, { signal, headers });
  if (!response.ok || response.body === null) {
    throw new Error(`the node answered ${String(response.status)}`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length === 0) continue;
    take(lines.slice(-LINES_MAX).map((line) => JSON.parse(line) as LogLine));
    // A task that talks faster than a page can draw is read in gulps.
    if (lines.length > LINES_MAX / 4) {
      await new Promise((resolve) => window.setTimeout(resolve, PAUSE_MS));
    }
  }
}
