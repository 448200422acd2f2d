import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { STATUSES } from './bodies.ts';
import type { Counts, TaskRow } from './bodies.ts';
import { Bulk } from './bulk.tsx';
import { compact, nameIn, plural, said } from './format.ts';
import { Icon, Sign } from './icons.tsx';
import { useOlder } from './older.ts';
import { Ago, Empty, Head, Status, TaskLink, Waiting, useView } from './parts.tsx';
import { goTo, linkTo, route } from './route.ts';
import { Rows } from './rows.tsx';

/**
 * Tasks by a filter that the node applies. The newest 200 are live; scrolling down fetches older ones, page
 * by page. Only rows that can be seen are in the document, however many there are.
 */
const FILTERS = ['status', 'type', 'workflow', 'tag'] as const;
type Filter = Readonly<Partial<Record<(typeof FILTERS)[number], string>>>;

function filterOf(query: URLSearchParams): Filter {
  const given = FILTERS.map((name) => [name, query.get(name) ?? ''] as const);
  return Object.fromEntries(given.filter(([, value]) => value !== ''));
}

export function Tasks(): JSX.Element {
  const filter = filterOf(route.value.query);
  const key = JSON.stringify(filter);
  return (
    <div class="fill">
      <Head title="Tasks" />
      <StatusTabs filter={filter} />
      <Search key={key} filter={filter} />
      <TaskTable key={`table${key}`} filter={filter} />
    </div>
  );
}

/** The counts are those of the whole cluster; the node has none for each filter. */
function StatusTabs({ filter }: { readonly filter: Filter }): JSX.Element {
  const { view } = useView({ view: 'overview' });
  const counts = (view?.fields['counts'] ?? {}) as Counts;
  const isPlain = filter.type === undefined && filter.workflow === undefined;
  return (
    <div class="tabs" role="group" aria-label="Status">
      {['', ...STATUSES].map((status) => (
        <a
          key={status}
          href={linkTo('tasks', '', { ...filter, status })}
          aria-current={(filter.status ?? '') === status ? 'true' : undefined}
        >
          {status === '' ? 'All' : <Sign of={status} />}
          {status === '' ? null : status}
          {status !== '' && isPlain && filter.tag === undefined && (counts[status] ?? 0) > 0 ? (
            <small>{compact(counts[status] ?? 0)}</small>
          ) : null}
        </a>
      ))}
    </div>
  );
}

/** `type:resize tag:red`, or the whole id of a task; what was found stands in the address. */
function Search({ filter }: { readonly filter: Filter }): JSX.Element {
  const given = FILTERS.filter((name) => name !== 'status' && filter[name] !== undefined)
    .map((name) => `${name}:${quoted(filter[name] ?? '')}`)
    .join(' ');
  const search = (event: Event): void => {
    event.preventDefault();
    const text = new FormData(event.currentTarget as HTMLFormElement).get('search');
    const asked = readSearch(typeof text === 'string' ? text : '');
    if (asked.id !== undefined) goTo(linkTo('task', asked.id));
    else goTo(linkTo('tasks', '', { status: filter.status ?? '', ...asked.filter }));
  };
  return (
    <form class="search" onSubmit={search} role="search">
      <Icon of="search" />
      <input
        id="search"
        name="search"
        aria-label="Search"
        placeholder="type:resize  tag:nightly  workflow:…  or the id of a task"
        defaultValue={given}
        autocomplete="off"
        spellcheck={false}
      />
      <kbd aria-hidden="true">/</kbd>
      <button type="submit">Search</button>
      {given === '' && filter.status === undefined ? null : (
        <a class="button quiet" href={linkTo('tasks')}>
          <Icon of="close" /> Clear
        </a>
      )}
    </form>
  );
}

function quoted(value: string): string {
  return /[\s"]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value;
}

export function readSearch(text: string): {
  readonly filter: Readonly<Record<string, string>>;
  readonly id?: string;
} {
  const filter: Record<string, string> = {};
  const rest = text.replace(
    /\b(status|type|workflow|tag):(?:"((?:\\.|[^"\\])*)"|(\S+))/g,
    (_whole, name: string, inQuotes: string | undefined, plain: string | undefined) => {
      const value = inQuotes === undefined ? (plain ?? '') : inQuotes.replace(/\\(.)/g, '$1');
      filter[name] = name === 'status' ? value.toUpperCase() : value;
      return '';
    },
  );
  const id = rest.trim();
  return id === '' ? { filter } : { filter, id };
}

function TaskTable({ filter }: { readonly filter: Filter }): JSX.Element {
  const { view, fault } = useView<TaskRow>({ view: 'tasks', ...filter });
  const older = useOlder<TaskRow>();
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [isAll, setAll] = useState(false);
  if (view === null) return <Waiting fault={fault} />;
  const rows = older.after(view.rows);
  const next = view.fields['next'];
  const first = `/tasks?${new URLSearchParams({ ...filter, cursor: String(next) }).toString()}`;
  const choose = (id: string): void => {
    const set = new Set(isAll ? rows.map((row) => row.id) : chosen);
    if (!set.delete(id)) set.add(id);
    setAll(false);
    setChosen(set);
  };
  const isAny = isAll || chosen.size > 0;
  return (
    <>
      <div class={`actions selection ${isAny ? 'on' : ''}`}>
        <label>
          <input type="checkbox" checked={isAll} onChange={() => setAll(!isAll)} /> all that match
          the filter
        </label>
        <span aria-live="polite" class="dim">
          {isAll ? 'all selected' : isAny ? `${String(chosen.size)} selected` : ''}
        </span>
        {isAny ? <Bulk selection={isAll ? selectionOf(filter) : { ids: [...chosen] }} /> : null}
        <span class="dim loaded">
          {plural(rows.length, 'row')} here{older.hasMore(next) ? ', more below' : ''}
        </span>
      </div>
      {rows.length === 0 ? (
        <Empty icon="tasks" title="No task fits.">
          <a href={linkTo('new')}>Submit one</a>, or <a href={linkTo('tasks')}>clear the filter</a>.
        </Empty>
      ) : (
        <Rows
          label="Tasks"
          columns={COLUMNS}
          rows={rows}
          onEnd={() => older.fetch(next === null ? null : first)}
          cellsOf={(task) => [
            <input
              type="checkbox"
              aria-label={`Select ${task.id}`}
              checked={isAll || chosen.has(task.id)}
              onChange={() => choose(task.id)}
            />,
            <Status of={task.status} />,
            <Name task={task} />,
            said(task.type),
            said(task.node),
            String(task.priority),
            `${String(task.attempt)}/${String(task.max_attempts)}`,
            <Ago at={task.created_at} />,
          ]}
        />
      )}
    </>
  );
}

/** Its own name first: that of its workflow is the same in many rows. */
function Name({ task }: { readonly task: TaskRow }): JSX.Element {
  const { id, workflow = null } = task;
  const name = nameIn(workflow, id);
  return (
    <>
      <TaskLink id={id} text={name} />
      {workflow === null || name === id ? null : (
        <a class="of" href={linkTo('workflow', workflow)} title={`of the workflow ${workflow}`}>
          {workflow}
        </a>
      )}
    </>
  );
}

const COLUMNS = ['Select', 'Status', 'Task', 'Type', 'Node', 'Priority', 'Attempt', 'Created'];

function selectionOf(filter: Filter): object {
  return Object.keys(filter).length === 0 ? { all: true } : filter;
}
