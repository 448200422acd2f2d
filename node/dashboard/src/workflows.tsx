import type { JSX } from 'preact';
import type { WorkflowRow } from './bodies.ts';
import { span, timeOf } from './format.ts';
import { Icon } from './icons.tsx';
import { useOlder } from './older.ts';
import { Ago, Bar, Empty, Head, Status, Tally, Waiting, endedOf, now } from './parts.tsx';
import { totalOf, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** Workflows, the newest first, each with how far it is. */
export function Workflows(): JSX.Element {
  const { view, fault } = useView<WorkflowRow>({ view: 'workflows' });
  const older = useOlder<WorkflowRow>();
  if (view === null) return <Waiting fault={fault} />;
  const { next } = view.fields;
  const rows = older.after(view.rows);
  return (
    <>
      <Head title="Workflows">
        <a class="button" href={linkTo('new', '', { kind: 'workflow' })}>
          <Icon of="new" /> New workflow
        </a>
      </Head>
      {rows.length === 0 ? (
        <div class="card">
          <Empty icon="workflows" title="There is none yet.">
            Submit a graph of tasks with <code>npx skein submit FILE</code>,{' '}
            <code>POST /workflows</code>, or{' '}
            <a href={linkTo('new', '', { kind: 'workflow' })}>here</a>.
          </Empty>
        </div>
      ) : (
        <ul class="plain workflows card">
          {rows.map((workflow) => (
            <Line key={workflow.id} workflow={workflow} />
          ))}
        </ul>
      )}
      {older.hasMore(next) ? (
        <p class="actions">
          <button
            type="button"
            onClick={() => older.fetch(`/workflows?cursor=${encodeURIComponent(String(next))}`)}
          >
            Show older ones
          </button>
        </p>
      ) : null}
    </>
  );
}

function Line({ workflow }: { readonly workflow: WorkflowRow }): JSX.Element {
  const { id, name, status, counts } = workflow;
  const beganMs = timeOf(workflow.created_at) ?? now.value;
  const endedMs = timeOf(workflow.finished_at);
  const share = endedOf(counts) / Math.max(1, totalOf(counts));
  return (
    <li>
      <span class="what">
        <a class="id" href={linkTo('workflow', id)} title={id}>
          {name}
        </a>
        <small title={id}>{id}</small>
      </span>
      <Status of={status} />
      <span class="how">
        <Bar counts={counts} />
        <Tally counts={counts} />
      </span>
      <b class="share">{Math.floor(share * 100)} %</b>
      <span class="when">
        {span((endedMs ?? now.value) - beganMs)}
        <small>
          {endedMs === null ? 'since ' : 'ended '}
          <Ago at={workflow.finished_at ?? workflow.created_at} />
        </small>
      </span>
    </li>
  );
}
