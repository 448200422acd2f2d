import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { STATUSES } from './bodies.ts';
import type { Counts, Row } from './bodies.ts';
import { count, exact, said, shortSpan } from './format.ts';
import { Icon, Sign } from './icons.tsx';
import type { IconName } from './icons.tsx';
import { watch } from './live.ts';
import type { View } from './live.ts';
import { linkTo } from './route.ts';

/** What several views are made of. Text of tasks is only ever a child of an element, never markup. */
export const now = signal(Date.now());

/** A page that nobody sees does not draw. */
export function keepTime(): void {
  if (document.visibilityState === 'visible') now.value = Date.now();
  window.setTimeout(keepTime, 1000);
}

export interface Seen<R extends Row> {
  readonly view: View<R> | null;
  readonly fault: string | null;
}

/** The view as it is now; null before the first answer. */
export function useView<R extends Row = Row>(to: object): Seen<R> {
  const key = JSON.stringify(to);
  const watched = useMemo(() => watch(to), [key]);
  useEffect(() => watched.end, [watched]);
  return { view: watched.view.value as Seen<R>['view'], fault: watched.fault.value };
}

/** A status by sign, word and colour, so that none of them is needed alone. */
export function Status({ of }: { readonly of: unknown }): JSX.Element {
  const text = said(of);
  return (
    <span class={`status ${text.toLowerCase()}`}>
      <Sign of={text} />
      {text}
    </span>
  );
}

export function Ago({ at }: { readonly at: unknown }): JSX.Element {
  if (typeof at !== 'string') return <span class="dim">–</span>;
  const ms = now.value - Date.parse(at);
  const isNow = ms < 1000 && ms > -1000;
  const text = isNow ? 'now' : ms > 0 ? `${shortSpan(ms)} ago` : `in ${shortSpan(-ms)}`;
  return (
    <time dateTime={at} title={exact(at)}>
      {text}
    </time>
  );
}

export function TaskLink(props: { readonly id: string; readonly text?: string }): JSX.Element {
  return (
    <a class="id" href={linkTo('task', props.id)} title={props.id}>
      {props.text ?? props.id}
    </a>
  );
}

/** Says what is not there, and what one can do about it. */
export function Empty(props: {
  readonly title: string;
  readonly icon?: IconName;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      {props.icon === undefined ? null : <Icon of={props.icon} />}
      <strong>{props.title}</strong>
      {props.children === undefined ? null : <p>{props.children}</p>}
    </div>
  );
}

export function Waiting({ fault }: { readonly fault: string | null }): JSX.Element {
  if (fault !== null) return <Empty icon="alert" title={`It cannot be shown: ${fault}.`} />;
  return (
    <div class="skeleton" role="status" aria-label="Reading">
      <span />
      <span />
      <span />
    </div>
  );
}

/** The head of a view: what it is, and what can be done with it. */
export function Head(props: {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="head">
      <div class="title">
        <h1>{props.title}</h1>
        {props.note === undefined ? null : <p class="note">{props.note}</p>}
      </div>
      {props.children === undefined ? null : <div class="actions">{props.children}</div>}
    </div>
  );
}

const BARS = ['COMPLETED', 'RUNNING', 'FAILED', 'CANCELLED', 'SKIPPED'] as const;

/** One bar for a workflow or a cluster; the numbers stand beside it in words. */
export function Bar({ counts }: { readonly counts: Counts }): JSX.Element {
  const total = totalOf(counts);
  const label = `${count(endedOf(counts))} of ${count(total)} ended`;
  return (
    <span class="bar" role="img" aria-label={label} title={label}>
      {BARS.filter((status) => (counts[status] ?? 0) > 0).map((status) => (
        <span
          key={status}
          class={status.toLowerCase()}
          style={{ width: `${String((100 * (counts[status] ?? 0)) / Math.max(1, total))}%` }}
        />
      ))}
    </span>
  );
}

/** The counts in words, each with its sign. */
export function Tally({ counts }: { readonly counts: Counts }): JSX.Element {
  return (
    <span class="tally">
      {STATUSES.filter((status) => (counts[status] ?? 0) > 0).map((status) => (
        <span key={status} class={`status ${status.toLowerCase()}`} title={status}>
          <Sign of={status} size={12} />
          {count(counts[status])}
          <span class="unseen"> {status}</span>
        </span>
      ))}
    </span>
  );
}

export function totalOf(counts: Counts): number {
  return STATUSES.reduce((sum, status) => sum + (counts[status] ?? 0), 0);
}

export function endedOf(counts: Counts): number {
  return totalOf(counts) - (counts['QUEUED'] ?? 0) - (counts['RUNNING'] ?? 0);
}

export function CopyButton({ text }: { readonly text: string }): JSX.Element {
  const [isCopied, setCopied] = useState(false);
  const copy = (): void => {
    // Without a secure origin there is no clipboard; the text can still be marked by hand.
    void navigator.clipboard.writeText(text).then(() => setCopied(true));
  };
  return (
    <button type="button" class="quiet" onClick={copy} onBlur={() => setCopied(false)}>
      <Icon of={isCopied ? 'check' : 'copy'} />
      {isCopied ? 'Copied' : 'Copy'}
    </button>
  );
}

export function Copyable(props: {
  readonly title: string;
  readonly value: unknown;
  readonly tone?: string;
}): JSX.Element {
  const { title, value, tone = '' } = props;
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  return (
    <section class={`card ${tone}`} aria-label={title}>
      <div class="cardhead">
        <h2>{title}</h2>
        <CopyButton text={text} />
      </div>
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

/** Asks before something is done to many; Escape is a no. */
export function Confirm(props: {
  readonly question: string;
  readonly detail?: string;
  readonly yes: string;
  readonly no?: string;
  readonly isGrave?: boolean;
  readonly onAnswer: (isYes: boolean) => void;
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-label={props.question} onCancel={() => props.onAnswer(false)}>
      <h2>{props.question}</h2>
      {props.detail === undefined ? null : <p class="dim">{props.detail}</p>}
      <div class="actions">
        <button type="button" onClick={() => props.onAnswer(false)}>
          {props.no ?? 'No, leave it'}
        </button>
        <button
          type="button"
          class={props.isGrave === true ? 'strong grave' : 'strong'}
          onClick={() => props.onAnswer(true)}
        >
          {props.yes}
        </button>
      </div>
    </dialog>
  );
}

export function Segments<Name extends string>(props: {
  readonly label: string;
  readonly of: readonly (readonly [Name, string])[];
  readonly at: Name;
  readonly onPick: (name: Name) => void;
}): JSX.Element {
  return (
    <div class="segments" role="group" aria-label={props.label}>
      {props.of.map(([name, text]) => (
        <button
          key={name}
          type="button"
          aria-pressed={props.at === name}
          onClick={() => props.onPick(name)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

/** A chart of a few pixels: one line, no axes; the number it ends with stands beside it. */
export function Spark({ values }: { readonly values: readonly number[] }): JSX.Element {
  const high = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map(
    (value, at) => `${(at * step).toFixed(1)},${(22 - (20 * value) / high).toFixed(1)}`,
  );
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}
