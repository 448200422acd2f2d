import { signal } from '@preact/signals';
import { render } from 'preact';
import type { JSX } from 'preact';
import 'uplot/dist/uPlot.min.css';
import { Events, Nodes } from './cluster.tsx';
import { begin, heardAt, line, movedFrom } from './live.ts';
import { NewTask } from './new-task.tsx';
import { Overview } from './overview.tsx';
import { keepTime, now, span } from './parts.tsx';
import { follow, goTo, linkTo, route } from './route.ts';
import './style.css';
import { Task } from './task.tsx';
import { Tasks } from './tasks.tsx';
import { Workflow, Workflows } from './workflows.tsx';

/** The frame of the page: where one can go, whether what is shown is live, and the keys. */
const PLACES = [
  ['overview', 'Overview', 'o'],
  ['tasks', 'Tasks', 't'],
  ['workflows', 'Workflows', 'w'],
  ['nodes', 'Nodes', 'n'],
  ['events', 'Events', 'e'],
  ['new', 'New task', 'c'],
] as const;

const isHelpShown = signal(false);

function Page(): JSX.Element {
  const { view } = route.value;
  return (
    <>
      <a class="unseen skip" href="#main" onClick={toMain}>
        To the content
      </a>
      <header>
        <strong class="brand">Skein</strong>
        <nav aria-label="Views">
          {PLACES.map(([name, title]) => (
            <a key={name} href={linkTo(name)} aria-current={isAt(view, name) ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <Line />
      </header>
      {movedFrom.value === null ? null : (
        <p class="moved" role="status">
          {movedFrom.value} did not answer any more: this page moved to {location.host}.{' '}
          <button type="button" class="small" onClick={() => (movedFrom.value = null)}>
            Good
          </button>
        </p>
      )}
      <main id="main" tabIndex={-1}>
        <Shown />
      </main>
      {isHelpShown.value ? <Help /> : null}
    </>
  );
}

function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

function isAt(view: string, name: string): boolean {
  return (
    view === name ||
    (view === 'task' && name === 'tasks') ||
    (view === 'workflow' && name === 'workflows')
  );
}

function Shown(): JSX.Element {
  const { view, id } = route.value;
  switch (view) {
    case 'tasks':
      return <Tasks />;
    case 'task':
      return <Task key={id} id={id} />;
    case 'workflows':
      return <Workflows />;
    case 'workflow':
      return <Workflow key={id} id={id} />;
    case 'nodes':
      return <Nodes />;
    case 'events':
      return <Events />;
    case 'new':
      return <NewTask />;
    default:
      return <Overview />;
  }
}

const MARKS = {
  connecting: '○ connecting',
  live: '● live',
  stale: '◐ stale',
  lost: '✕ reconnecting',
  paused: '‖ paused',
} as const;

function Line(): JSX.Element {
  const state = line.value;
  const silent = state === 'stale' ? ` ${span(now.value - heardAt.value)}` : '';
  return (
    <span class={`line ${state}`} role="status">
      {MARKS[state] + silent}
    </span>
  );
}

function Help(): JSX.Element {
  return (
    <section class="side card" role="dialog" aria-label="Keys">
      <h2>Keys</h2>
      <ul class="plain">
        {PLACES.map(([name, title, key]) => (
          <li key={name}>
            <kbd>g</kbd> <kbd>{key}</kbd> {title}
          </li>
        ))}
        <li>
          <kbd>/</kbd> filter tasks
        </li>
        <li>
          <kbd>j</kbd> <kbd>k</kbd> next and previous link
        </li>
        <li>
          <kbd>?</kbd> these keys
        </li>
      </ul>
    </section>
  );
}

let isGoing = false;

function onKey(event: KeyboardEvent): void {
  const isTyping = (event.target as HTMLElement).matches('input, textarea, select');
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  const { key } = event;
  if (isGoing) {
    isGoing = false;
    const place = PLACES.find(([, , letter]) => letter === key);
    if (place !== undefined) goTo(linkTo(place[0]));
  } else if (key === 'g') isGoing = true;
  else if (key === '?') isHelpShown.value = !isHelpShown.value;
  else if (key === 'Escape') isHelpShown.value = false;
  else if (key === 'j' || key === 'k') step(key === 'j' ? 1 : -1);
  else if (key === '/') {
    event.preventDefault();
    if (route.value.view !== 'tasks') goTo(linkTo('tasks'));
    window.setTimeout(() => document.getElementById('search')?.focus(), 50);
  }
}

function step(by: number): void {
  const links = [...document.querySelectorAll<HTMLElement>('main a.id')];
  const at = links.indexOf(document.activeElement as HTMLElement);
  links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
}

const place = document.getElementById('page');
if (place !== null) {
  document.addEventListener('keydown', onKey);
  follow();
  keepTime();
  begin();
  render(<Page />, place);
}
