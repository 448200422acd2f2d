import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { watch } from './live.ts';
import type { View } from './live.ts';
import { linkTo } from './route.ts';

/** What several views are made of. Text of tasks is only ever a child of an element, never markup. */
export const now = signal(Date.now());

export function keepTime(): void {
  now.value = Date.now();
  window.setTimeout(keepTime, 1000);
}

/** The view as it is now; null before the first answer. */
export function useView(to: object): { readonly view: View | null; readonly fault: string | null } {
  const key = JSON.stringify(to);
  const watched = useMemo(() => watch(to), [key]);
  useEffect(() => watched.end, [watched]);
  return { view: watched.view.value, fault: watched.fault.value };
}

const MARKS: Readonly<Record<string, string>> = {
  QUEUED: '◷',
  RUNNING: '▶',
  COMPLETED: '✓',
  FAILED: '✕',
  CANCELLED: '⊘',
  SKIPPED: '↷',
};

/** A status by sign, word and colour, so that none of them is needed alone. */
export function Status({ of }: { readonly of: unknown }): JSX.Element {
  const text = said(of);
  return (
    <span class={`status ${text.toLowerCase()}`}>
      <span aria-hidden="true">{MARKS[text.toUpperCase()] ?? '•'}</span> {text}
    </span>
  );
}

const STEPS: readonly (readonly [number, string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
];

export function span(ms: number): string {
  const [size, unit] = STEPS.find(([each]) => ms >= each) ?? [1, 'ms'];
  const count = ms / size;
  return `${count >= 10 || unit === 'ms' ? String(Math.round(count)) : count.toFixed(1)} ${unit}`;
}

export function Ago({ at }: { readonly at: unknown }): JSX.Element {
  if (typeof at !== 'string') return <span class="dim">–</span>;
  const ms = now.value - Date.parse(at);
  const text = ms < 1000 && ms > -1000 ? 'now' : ms > 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
  return (
    <time dateTime={at} title={at}>
      {text}
    </time>
  );
}

export function TaskLink({ id }: { readonly id: string }): JSX.Element {
  return (
    <a class="id" href={linkTo('task', id)} title={id}>
      {id}
    </a>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="empty">{children}</p>;
}

export function Waiting({ fault }: { readonly fault: string | null }): JSX.Element {
  return <p class="empty">{fault === null ? 'Reading …' : `It cannot be shown: ${fault}.`}</p>;
}

/** One bar for a workflow or a cluster; the numbers stand beside it in words. */
export function Bar({
  counts,
}: {
  readonly counts: Readonly<Record<string, number>>;
}): JSX.Element {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const done = total - (counts['QUEUED'] ?? 0) - (counts['RUNNING'] ?? 0);
  const label = `${String(done)} of ${String(total)} ended`;
  return (
    <span class="bar" role="img" aria-label={label} title={label}>
      {['COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED', 'RUNNING'].map((status) => (
        <span
          key={status}
          class={status.toLowerCase()}
          style={{ width: `${String((100 * (counts[status] ?? 0)) / Math.max(1, total))}%` }}
        />
      ))}
    </span>
  );
}

export function Copyable({
  title,
  value,
}: {
  readonly title: string;
  readonly value: unknown;
}): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => setCopied(true));
  };
  return (
    <section class="card">
      <h3>
        {title}{' '}
        <button type="button" class="small" onClick={copy}>
          {isCopied ? 'Copied' : 'Copy'}
        </button>
      </h3>
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

/** Asks before something is done to many; Escape is a no. */
export function Confirm(props: {
  readonly question: string;
  readonly yes: string;
  readonly onAnswer: (isYes: boolean) => void;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-label={props.question} onCancel={() => props.onAnswer(false)}>
      <p>{props.question}</p>
      <div class="actions">
        <button type="button" onClick={() => props.onAnswer(false)}>
          No, leave them
        </button>
        <button type="button" class="strong" onClick={() => props.onAnswer(true)}>
          {props.yes}
        </button>
      </div>
    </dialog>
  );
}

/** Any value as the text that a cell shows. */
export function said(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : JSON.stringify(value);
}
