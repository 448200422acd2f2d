import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import type { Counts, NodeRow } from './bodies.ts';
import { compact, span } from './format.ts';
import { Icon, Mark } from './icons.tsx';
import type { IconName } from './icons.tsx';
import { heardAt, line, movedFrom } from './live.ts';
import { now, useView } from './parts.tsx';
import { linkTo, route } from './route.ts';
import { key, signOut } from './session.ts';

/** What stands around each view: where one can go, and whether what is shown is live. */
export interface Place {
  readonly name: string;
  readonly title: string;
  readonly key: string;
  /** The views that belong to it. */
  readonly holds?: readonly string[];
}

export const PLACES: readonly Place[] = [
  { name: 'overview', title: 'Overview', key: 'o' },
  { name: 'workflows', title: 'Workflows', key: 'w', holds: ['workflow'] },
  { name: 'tasks', title: 'Tasks', key: 't', holds: ['task'] },
  { name: 'schedules', title: 'Schedules', key: 's' },
  { name: 'types', title: 'Types', key: 'y' },
  { name: 'nodes', title: 'Nodes', key: 'n' },
  { name: 'events', title: 'Events', key: 'e' },
];

export const isHelpShown = signal(false);

export function Frame({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <>
      <a class="unseen skip" href="#main" onClick={toMain}>
        To the content
      </a>
      <header>
        <a class="brand" href={linkTo('overview')} aria-label="Skein, to the overview">
          <Mark />
          <span>Skein</span>
        </a>
        <Menu />
        <div class="foot">
          <a class="button strong" href={linkTo('new')}>
            <Icon of="new" /> <span>New task</span>
          </a>
          <Line />
          {key.value === null ? null : (
            <button type="button" class="quiet" onClick={leave}>
              Sign out
            </button>
          )}
          <button
            type="button"
            class="quiet keys"
            aria-label="Keys"
            onClick={() => (isHelpShown.value = true)}
          >
            <kbd>?</kbd>
          </button>
        </div>
      </header>
      <div class="body">
        <Moved />
        <main id="main" tabIndex={-1}>
          {children}
        </main>
      </div>
      {isHelpShown.value ? <Help /> : null}
    </>
  );
}

function leave(): void {
  signOut();
  location.reload();
}

function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function Menu(): JSX.Element {
  const { view } = useView<NodeRow>({ view: 'overview' });
  const counts = (view?.fields['counts'] ?? {}) as Counts;
  const at = route.value.view;
  const marks: Readonly<Record<string, number>> = {
    tasks: (counts['RUNNING'] ?? 0) + (counts['QUEUED'] ?? 0),
    nodes: view?.rows.filter(({ state }) => state === 'alive').length ?? 0,
  };
  return (
    <nav aria-label="Views">
      {PLACES.map(({ name, title, key, holds }) => {
        const isHere = at === name || holds?.includes(at) === true;
        const mark = marks[name] ?? 0;
        return (
          <a
            key={name}
            href={linkTo(name)}
            aria-current={isHere ? 'page' : undefined}
            title={`${title} (g ${key})`}
          >
            <Icon of={name as IconName} />
            <span>{title}</span>
            {mark === 0 ? null : <small class="number">{compact(mark)}</small>}
          </a>
        );
      })}
    </nav>
  );
}

const WORDS = {
  connecting: 'connecting',
  live: 'live',
  stale: 'stale',
  lost: 'reconnecting',
  paused: 'paused',
} as const;

function Line(): JSX.Element {
  const state = line.value;
  const silent = state === 'stale' ? ` ${span(now.value - heardAt.value)}` : '';
  return (
    <span class={`line ${state}`} title={`Served by ${location.host}`}>
      <i aria-hidden="true" />
      <span role="status">{WORDS[state] + silent}</span>
      <small>{location.host}</small>
    </span>
  );
}

function Moved(): JSX.Element | null {
  if (movedFrom.value === null) return null;
  return (
    <p class="moved" role="status">
      <Icon of="alert" />
      <span>
        <b>{movedFrom.value}</b> did not answer any more: this page moved to <b>{location.host}</b>.
      </span>
      <button type="button" class="quiet" onClick={() => (movedFrom.value = null)}>
        Good
      </button>
    </p>
  );
}

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'search tasks'],
  ['j  k', 'next and previous'],
  ['c', 'new task'],
  ['[  ]', 'graph, timeline'],
  ['+  −  0', 'zoom in, zoom out, fit'],
  ['f', 'follow what runs'],
  ['Esc', 'close'],
  ['?', 'these keys'],
];

function Help(): JSX.Element {
  const close = (): void => {
    isHelpShown.value = false;
  };
  const open = (dialog: HTMLDialogElement | null): void => {
    if (dialog !== null && !dialog.open) dialog.showModal();
  };
  return (
    <dialog ref={open} class="help" aria-label="Keys" onCancel={close}>
      <div class="cardhead">
        <h2>Keys</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={close}>
          <Icon of="close" />
        </button>
      </div>
      <dl>
        {PLACES.map(({ name, title, key }) => (
          <div key={name}>
            <dt>
              <kbd>g</kbd> <kbd>{key}</kbd>
            </dt>
            <dd>{title}</dd>
          </div>
        ))}
        {KEYS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              {keys.split('  ').map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
