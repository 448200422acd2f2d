import type { JSX } from 'preact';
import type { Row } from './live.ts';
import { Ago, Empty, TaskLink, Waiting, said, useView } from './parts.tsx';

/** The nodes, each with what runs on it now, and what has happened to them. */
type Running = readonly {
  readonly id: string;
  readonly node: string | null;
  readonly type: string;
}[];

export function Nodes(): JSX.Element {
  const { view, fault } = useView({ view: 'nodes' });
  if (view === null) return <Waiting fault={fault} />;
  const running = view.fields['running'] as Running;
  return (
    <>
      <h1>Nodes</h1>
      {view.rows.map((node) => (
        <Lane key={node.id} node={node} running={running.filter((task) => task.node === node.id)} />
      ))}
    </>
  );
}

function Lane({ node, running }: { readonly node: Row; readonly running: Running }): JSX.Element {
  const slots = Math.max(Number(node['slots']), running.length);
  return (
    <section class="card lane" aria-label={node.id}>
      <h2>
        {node['is_leader'] === true ? <span title="It leads">♛ </span> : null}
        {node.id}
        {node['is_leader'] === true ? <small> leader</small> : null}
      </h2>
      <p class="dim">
        {said(node['state'])} · {said(node['running'])} of {said(node['slots'])} slots used · heard{' '}
        <Ago at={node['last_heartbeat_at']} /> · up since <Ago at={node['started_at']} /> · process{' '}
        {said(node['pid'])} · {said(node['version'])}
      </p>
      <div class="slots">
        {Array.from({ length: Math.min(slots, 64) }, (_, at) => {
          const task = running[at];
          return (
            <span key={task?.id ?? at} class={`slot ${task === undefined ? '' : 'running'}`}>
              {task === undefined ? 'free' : <TaskLink id={task.id} />}
            </span>
          );
        })}
      </div>
    </section>
  );
}

export function Events(): JSX.Element {
  const { view, fault } = useView({ view: 'events' });
  if (view === null) return <Waiting fault={fault} />;
  if (view.rows.length === 0) return <Empty>Nothing has happened yet.</Empty>;
  return (
    <>
      <h1>Events</h1>
      <div class="wide" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {['When', 'What', 'Node', 'Term', 'Detail'].map((name) => (
                <th key={name}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {view.rows.map((event) => (
              <tr key={event.id}>
                <td>
                  <Ago at={event['at']} />
                </td>
                <td>{said(event['kind'])}</td>
                <td>{said(event['node'])}</td>
                <td>{said(event['term'])}</td>
                <td>{said(event['detail'])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
