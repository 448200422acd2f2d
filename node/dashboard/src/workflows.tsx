import type { JSX } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import { Graph } from './graph.tsx';
import { Ago, Bar, Empty, Status, TaskLink, Waiting, said, span, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** Workflows as bars, and one of them as a graph whose tasks take the colour of what they do. */
type Counts = Readonly<Record<string, number>>;

export function Workflows(): JSX.Element {
  const { view, fault } = useView({ view: 'workflows' });
  if (view === null) return <Waiting fault={fault} />;
  return (
    <>
      <h1>Workflows</h1>
      {view.rows.length === 0 ? (
        <Empty>
          There is none yet. Submit one with <code>POST /workflows</code> or{' '}
          <code>npx skein submit FILE</code>.
        </Empty>
      ) : (
        <ul class="plain list">
          {view.rows.map((workflow) => (
            <li key={workflow.id} class="card">
              <a class="id" href={linkTo('workflow', workflow.id)}>
                {said(workflow['name'])}
              </a>
              <Status of={workflow['status']} />
              <Bar counts={workflow['counts'] as Counts} />
              <span class="dim">
                {summary(workflow['counts'] as Counts)} · <Ago at={workflow['created_at']} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function summary(counts: Counts): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0);
  return parts.map(([status, count]) => `${String(count)} ${status.toLowerCase()}`).join(', ');
}

export function Workflow({ id }: { readonly id: string }): JSX.Element {
  const { view, fault } = useView({ view: 'workflow', id });
  const [chosen, setChosen] = useState<string | null>(null);
  const byId = useMemo(() => new Map(view?.rows.map((row) => [row.id, row])), [view?.rows]);
  if (view === null) return <Waiting fault={fault} />;
  const { fields, rows } = view;
  const task = chosen === null ? undefined : byId.get(chosen);
  const took = Date.parse(String(task?.['finished_at'])) - Date.parse(String(task?.['started_at']));
  return (
    <>
      <h1 class="id">{said(fields['name'])}</h1>
      <p>
        <Status of={fields['status']} /> {summary(fields['counts'] as Counts)} ·{' '}
        <a href={linkTo('tasks', '', { workflow: id })}>its tasks</a>
      </p>
      <Bar counts={fields['counts'] as Counts} />
      {fields['is_graph_shown'] === true ? (
        <Graph rows={rows} chosen={chosen} onChoose={setChosen} />
      ) : (
        <Empty>
          It has more than 5,000 tasks: its bar and its list follow it, its graph is not drawn.
        </Empty>
      )}
      {task === undefined ? null : (
        <aside class="side card" aria-label="Task">
          <button type="button" class="small" onClick={() => setChosen(null)}>
            Close
          </button>
          <p>
            <TaskLink id={task.id} />
          </p>
          <p>
            <Status of={task['status']} /> {said(task['type'])}
          </p>
          <p>{Number.isNaN(took) ? 'It has not ended.' : `It took ${span(took)}.`}</p>
        </aside>
      )}
    </>
  );
}
