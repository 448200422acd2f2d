import type { JSX } from 'preact';
import type { GraphRow, TaskBody } from './bodies.ts';
import { said, span, timeOf } from './format.ts';
import { Icon } from './icons.tsx';
import { Copyable, Status, Waiting, now, useView } from './parts.tsx';
import { linkTo } from './route.ts';
import { Why } from './task.tsx';

/** A task beside the graph it is in: looking at it does not lead away from where one was. */
interface TaskPanelProps {
  readonly id: string;
  readonly rows: readonly GraphRow[];
  readonly nameOf: (id: string) => string;
  readonly onChoose: (id: string | null) => void;
}

const SHOWN_MAX = 12;

export function TaskPanel({ id, rows, nameOf, onChoose }: TaskPanelProps): JSX.Element {
  const { view, fault } = useView({ view: 'task', id });
  const row = rows.find((each) => each.id === id);
  const dependents = rows.filter(({ dependencies }) => dependencies.includes(id));
  const task = view?.fields as unknown as TaskBody | undefined;
  const lists = [
    ['It depends on', row?.dependencies ?? []],
    ['What waits for it', dependents.map((each) => each.id)],
  ] as const;
  return (
    <aside class="card panel" aria-label="Task">
      <div class="cardhead">
        <h2>{nameOf(id)}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={() => onChoose(null)}>
          <Icon of="close" />
        </button>
      </div>
      {task === undefined ? <Waiting fault={fault} /> : <Body id={id} task={task} />}
      {lists.map(([title, ids]) =>
        ids.length === 0 ? null : (
          <section key={title}>
            <h3>{title}</h3>
            <ul class="plain near">
              {ids.slice(0, SHOWN_MAX).map((each) => (
                <li key={each}>
                  <button type="button" class="quiet" onClick={() => onChoose(each)}>
                    <Status of={rows.find((other) => other.id === each)?.status ?? ''} />
                    <span>{nameOf(each)}</span>
                  </button>
                </li>
              ))}
            </ul>
            {ids.length > SHOWN_MAX ? (
              <small>and {String(ids.length - SHOWN_MAX)} more</small>
            ) : null}
          </section>
        ),
      )}
    </aside>
  );
}

function Body({ id, task }: { readonly id: string; readonly task: TaskBody }): JSX.Element {
  const startedMs = timeOf(task.started_at);
  const tookMs = (timeOf(task.finished_at) ?? now.value) - (startedMs ?? now.value);
  const facts = [
    ['Type', task.type],
    ['Node', task.node],
    ['Attempt', `${String(task.attempt)} of ${String(task.max_attempts)}`],
    ['Ran for', startedMs === null ? null : span(tookMs)],
    ['Expected', expectedOf(task)],
  ] as const;
  return (
    <>
      <div class="actions">
        <Status of={task.status} />
        <a class="button" href={linkTo('task', id)}>
          <Icon of="open" /> Open
        </a>
      </div>
      <Why id={id} version={`${task.status}${String(task.attempt)}`} />
      <dl class="facts">
        {facts.map(([name, value]) =>
          value === null ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{said(value)}</dd>
            </div>
          ),
        )}
      </dl>
      {task.error == null ? null : <Copyable title="Error" value={task.error} tone="bad" />}
      {task.result == null ? null : <Copyable title="Result" value={task.result} />}
    </>
  );
}

function expectedOf({ expected_ms: expected, duration_ms: duration }: TaskBody): string | null {
  const ms = expected ?? duration;
  return ms === null ? null : span(ms);
}
