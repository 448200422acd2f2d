import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { call, page, reasonOf } from './api.ts';
import type { Row } from './live.ts';
import { Ago, Confirm, Empty, Status, TaskLink, Waiting, said, useView } from './parts.tsx';
import { goTo, linkTo, route } from './route.ts';

/**
 * Tasks by a filter that the node applies. The newest 200 are live; scrolling down fetches older ones, page
 * by page. Only rows that can be seen are in the document, however many there are.
 */
const FILTERS = ['status', 'type', 'workflow', 'tag'] as const;
const STATUSES = ['', 'QUEUED', 'RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED', 'SKIPPED'];
const ROW_PX = 36;
const BEYOND = 8;

type Filter = Readonly<Record<string, string>>;

function filterOf(query: URLSearchParams): Filter {
  const given = FILTERS.map((name) => [name, query.get(name) ?? ''] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== ''));
}

export function Tasks(): JSX.Element {
  const filter = filterOf(route.value.query);
  return (
    <>
      <h1>Tasks</h1>
      <FilterForm key={JSON.stringify(filter)} filter={filter} />
      <TaskTable key={`table${JSON.stringify(filter)}`} filter={filter} />
    </>
  );
}

function FilterForm({ filter }: { readonly filter: Filter }): JSX.Element {
  const apply = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string): string => {
      const value = form.get(name);
      return typeof value === 'string' ? value.trim() : '';
    };
    goTo(linkTo('tasks', '', Object.fromEntries(FILTERS.map((name) => [name, text(name)]))));
  };
  return (
    <form class="filter" onSubmit={apply} role="search">
      <label>
        Status{' '}
        <select name="status" defaultValue={filter['status'] ?? ''}>
          {STATUSES.map((status) => (
            <option key={status} value={status} selected={status === (filter['status'] ?? '')}>
              {status === '' ? 'any' : status}
            </option>
          ))}
        </select>
      </label>
      {FILTERS.slice(1).map((name) => (
        <label key={name}>
          {name.charAt(0).toUpperCase() + name.slice(1)}{' '}
          <input
            name={name}
            defaultValue={filter[name] ?? ''}
            id={name === 'type' ? 'search' : `by-${name}`}
          />
        </label>
      ))}
      <button type="submit">Filter</button>
      <a href={linkTo('tasks')}>Clear</a>
    </form>
  );
}

function TaskTable({ filter }: { readonly filter: Filter }): JSX.Element {
  const { view, fault } = useView({ view: 'tasks', ...filter });
  const older = useOlder(filter);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isAll, setAll] = useState(false);
  if (view === null) return <Waiting fault={fault} />;
  const shown = new Set(view.rows.map(({ id }) => id));
  const rows = [...view.rows, ...older.rows.filter(({ id }) => !shown.has(id))];
  const choose = (id: string): void => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setAll(false);
    setChosen(next);
  };
  const selection = isAll ? selectionOf(filter) : { ids: [...chosen] };
  const next = view.fields['next'];
  const first = `/tasks?${new URLSearchParams({ ...filter, cursor: String(next) }).toString()}`;
  const more = older.next ?? (older.rows.length === 0 && next !== null ? first : null);
  return (
    <>
      <div class="actions">
        <label>
          <input type="checkbox" checked={isAll} onChange={() => setAll(!isAll)} /> all that match
          the filter
        </label>
        <span aria-live="polite">{isAll ? 'all selected' : `${String(chosen.size)} selected`}</span>
        {isAll || chosen.size > 0 ? <Bulk selection={selection} /> : null}
      </div>
      {rows.length === 0 ? (
        <Empty>
          No task fits. <a href={linkTo('new')}>Submit one</a>, or{' '}
          <a href={linkTo('tasks')}>clear the filter</a>.
        </Empty>
      ) : (
        <Rows
          rows={rows}
          isChosen={(id) => isAll || chosen.has(id)}
          choose={choose}
          onEnd={() => older.fetch(more)}
        />
      )}
    </>
  );
}

function selectionOf(filter: Filter): object {
  return Object.keys(filter).length === 0 ? { all: true } : filter;
}

function useOlder(filter: Filter): {
  readonly rows: readonly Row[];
  readonly next: string | null;
  readonly fetch: (path: string | null) => void;
} {
  const [state, setState] = useState<{ rows: readonly Row[]; next: string | null }>({
    rows: [],
    next: null,
  });
  const busy = useRef(false);
  useEffect(() => setState({ rows: [], next: null }), [JSON.stringify(filter)]);
  const fetch = (path: string | null): void => {
    if (path === null || busy.current) return;
    busy.current = true;
    page(path)
      .then(({ items, next }) => {
        setState((before) => ({ rows: [...before.rows, ...(items as readonly Row[])], next }));
      })
      // The next scroll asks again; the line's own mark says when the node is away.
      .catch(() => undefined)
      .finally(() => {
        busy.current = false;
      });
  };
  return { ...state, fetch };
}

function Rows(props: {
  readonly rows: readonly Row[];
  readonly isChosen: (id: string) => boolean;
  readonly choose: (id: string) => void;
  readonly onEnd: () => void;
}): JSX.Element {
  const { rows, isChosen, choose, onEnd } = props;
  const [top, setTop] = useState(0);
  const height = Math.max(300, window.innerHeight - 260);
  const from = Math.max(0, Math.floor(top / ROW_PX) - BEYOND);
  const to = Math.min(rows.length, Math.ceil((top + height) / ROW_PX) + BEYOND);
  const onScroll = (event: Event): void => {
    const { scrollTop } = event.currentTarget as HTMLElement;
    setTop(scrollTop);
    if (scrollTop + height > (rows.length - 20) * ROW_PX) onEnd();
  };
  return (
    <div
      class="rows"
      style={{ maxHeight: `${String(height)}px` }}
      onScroll={onScroll}
      tabIndex={0}
      role="table"
    >
      <div class="row head" role="row">
        {['', 'Status', 'Task', 'Type', 'Node', 'Attempt', 'Created'].map((name) => (
          <span key={name} role="columnheader">
            {name || <span class="unseen">Select</span>}
          </span>
        ))}
      </div>
      <div
        role="rowgroup"
        style={{ height: `${String(rows.length * ROW_PX)}px`, position: 'relative' }}
      >
        {rows.slice(from, to).map((task, at) => (
          <div
            key={task.id}
            class="row"
            role="row"
            style={{ position: 'absolute', top: `${String((from + at) * ROW_PX)}px` }}
          >
            <span role="cell">
              <input
                type="checkbox"
                aria-label={`Select ${task.id}`}
                checked={isChosen(task.id)}
                onChange={() => choose(task.id)}
              />
            </span>
            <span role="cell">
              <Status of={task['status']} />
            </span>
            <span role="cell">
              <TaskLink id={task.id} />
            </span>
            <span role="cell">{said(task['type'])}</span>
            <span role="cell">{said(task['node'])}</span>
            <span role="cell">{`${said(task['attempt'])}/${said(task['max_attempts'])}`}</span>
            <span role="cell">
              <Ago at={task['created_at']} />
            </span>
          </div>
        ))}
      </div>
    </div>
  );
}

type Kind = 'cancel' | 'retry';

/** Counts first, then asks, then does it: to exactly what the node counts at that moment. */
function Bulk({ selection }: { readonly selection: object }): JSX.Element {
  const [asked, setAsked] = useState<{ readonly kind: Kind; readonly count: number } | null>(null);
  const [told, setTold] = useState('');
  const attempt = (action: () => Promise<void>): void => {
    action().catch((thrown: unknown) => setTold(reasonOf(thrown)));
  };
  const ask = (kind: Kind): void =>
    attempt(async () => {
      const body = { ...selection, dry_run: true };
      const { count } = (await call('POST', `/tasks/${kind}`, body)) as { count: number };
      if (count === 0)
        setTold(`Nothing of it can be ${kind === 'cancel' ? 'cancelled' : 'retried'}.`);
      else setAsked({ kind, count });
    });
  const answer = (isYes: boolean): void => {
    const { kind } = asked ?? { kind: 'cancel' };
    setAsked(null);
    if (!isYes) return;
    attempt(async () => {
      const { count } = (await call('POST', `/tasks/${kind}`, selection)) as { count: number };
      setTold(`The ${kind} of ${String(count)} tasks is accepted.`);
    });
  };
  return (
    <>
      <button type="button" onClick={() => ask('cancel')}>
        Cancel …
      </button>
      <button type="button" onClick={() => ask('retry')}>
        Retry …
      </button>
      <span role="status">{told}</span>
      {asked === null ? null : (
        <Confirm
          question={`${asked.kind === 'cancel' ? 'Cancel' : 'Retry'} ${String(asked.count)} tasks?`}
          yes={`Yes, ${asked.kind} ${String(asked.count)}`}
          onAnswer={answer}
        />
      )}
    </>
  );
}
