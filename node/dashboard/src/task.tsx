import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, page, pathOf, reasonOf } from './api.ts';
import { hasEnded } from './bodies.ts';
import type { TaskBody, TaskRow } from './bodies.ts';
import { Attempts } from './attempts.tsx';
import { Change } from './change.tsx';
import { said, span, timeOf } from './format.ts';
import { Icon } from './icons.tsx';
import { Logs } from './logs.tsx';
import { Ago, Copyable, CopyButton, Head, Status, TaskLink, Waiting, now } from './parts.tsx';
import { useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** One task: what it is and why, what it was given and gave, each of its attempts, what it said. */
export function Task({ id }: { readonly id: string }): JSX.Element {
  const { view, fault } = useView({ view: 'task', id });
  if (view === null) return <Waiting fault={fault} />;
  const task = view.fields as unknown as TaskBody;
  const version = `${task.status}${String(task.attempt)}`;
  return (
    <div class="stack">
      <Head
        title={id}
        note={
          <span class="facts-line">
            <Status of={task.status} /> <Took task={task} />
            <CopyButton text={id} />
          </span>
        }
      >
        <TaskActions task={task} />
      </Head>
      <Why id={id} version={version} />
      <Progress of={task.progress} />
      <div class="task">
        <div class="stack">
          <Attempts task={task} />
          {task.error == null ? null : <Copyable title="Error" value={task.error} tone="bad" />}
          {task.result == null ? null : <Copyable title="Result" value={task.result} />}
          <Logs id={id} isOver={hasEnded(task.status)} version={version} />
          {task.payload == null ? null : <Copyable title="Payload" value={task.payload} />}
        </div>
        <div class="stack">
          <Facts task={task} />
          <Dependencies ids={task.dependencies} />
          <Dependents id={id} version={task.status} />
        </div>
      </div>
    </div>
  );
}

export function TaskActions({ task }: { readonly task: TaskBody }): JSX.Element {
  const { id, status } = task;
  const isOver = hasEnded(status);
  return (
    <>
      {isOver ? null : (
        <Change
          label="Cancel"
          icon="close"
          path={pathOf('tasks', id, 'cancel')}
          done="its cancel is accepted"
          question="Cancel this task?"
          detail="If it runs, it is stopped. What depends on it follows its trigger rule."
        />
      )}
      {isOver && status !== 'COMPLETED' ? (
        <Change
          label="Retry"
          icon="retry"
          path={pathOf('tasks', id, 'retry')}
          done="its retry is accepted"
        />
      ) : null}
      <a class="button" href={linkTo('new', '', { from: id })}>
        <Icon of="play" /> Replay with changes
      </a>
    </>
  );
}

/** How long it has run, or waited. */
function Took({ task }: { readonly task: TaskBody }): JSX.Element {
  const [created, started, finished] = [
    timeOf(task.created_at),
    timeOf(task.started_at),
    timeOf(task.finished_at),
  ];
  if (started !== null) {
    const ms = (finished ?? now.value) - started;
    return <span>{finished === null ? `for ${span(ms)}` : `took ${span(ms)}`}</span>;
  }
  const ms = (finished ?? now.value) - (created ?? now.value);
  return <span>{finished === null ? `waits for ${span(ms)}` : `waited ${span(ms)}`}</span>;
}

/** Asked anew when the task has changed. */
export function Why(props: { readonly id: string; readonly version: string }): JSX.Element {
  const { id, version } = props;
  const [sentence, setSentence] = useState('');
  useEffect(() => {
    let isCurrent = true;
    call('GET', pathOf('tasks', id, 'explain')).then(
      (answer) => isCurrent && setSentence(said((answer as { sentence: unknown }).sentence)),
      (thrown: unknown) => isCurrent && setSentence(reasonOf(thrown)),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, version]);
  return <p class="why">{sentence}</p>;
}

function Progress({ of }: { readonly of: TaskBody['progress'] }): JSX.Element | null {
  if (of === undefined) return null;
  const { fraction, note } = of;
  return (
    <p class="progress">
      <progress value={fraction} max={1} aria-label="Progress" />
      <b>{Math.round(fraction * 100)} %</b> {note ?? ''}
    </p>
  );
}

function Facts({ task }: { readonly task: TaskBody }): JSX.Element {
  const facts: readonly (readonly [string, JSX.Element | string | null])[] = [
    ['Type', <a href={linkTo('tasks', '', { type: task.type })}>{task.type}</a>],
    ['Node', task.node],
    ['Workflow', task.workflow === undefined ? null : <WorkflowLink id={task.workflow} />],
    ['Priority', `${String(task.priority)} (1 is the most urgent)`],
    ['Attempt', `${String(task.attempt)} of ${String(task.max_attempts)}`],
    ['Submitted', <Ago at={task.created_at} />],
    ['Not before', task.run_at === null ? null : <Ago at={task.run_at} />],
    ['Started', task.started_at === null ? null : <Ago at={task.started_at} />],
    ['Ended', task.finished_at === null ? null : <Ago at={task.finished_at} />],
    ['Expected', task.expected_ms === null ? null : span(task.expected_ms)],
    ['Duration', task.duration_ms === null ? null : span(task.duration_ms)],
    ['Time limit', task.timeout_ms === null ? null : span(task.timeout_ms)],
    ['Lives for', task.ttl_ms === null ? null : span(task.ttl_ms)],
    ['Trigger rule', task.trigger_rule === 'all_success' ? null : task.trigger_rule],
    ['Tags', task.tags.length === 0 ? null : <Chips of={task.tags} />],
    ['Labels', <Chips of={Object.entries(task.labels ?? {}).map((pair) => pair.join('='))} />],
  ];
  return (
    <section class="card" aria-label="Facts">
      <dl class="facts">
        {facts.map(([name, value]) =>
          value === null || (name === 'Labels' && task.labels === undefined) ? null : (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ),
        )}
      </dl>
    </section>
  );
}

function WorkflowLink({ id }: { readonly id: string }): JSX.Element {
  return <a href={linkTo('workflow', id)}>{id}</a>;
}

export function Chips({ of }: { readonly of: readonly string[] }): JSX.Element {
  return (
    <span class="chips">
      {of.map((text) => (
        <span key={text} class="chip" title={text}>
          {text}
        </span>
      ))}
    </span>
  );
}

const SHOWN_MAX = 30;

function Dependencies({ ids }: { readonly ids: readonly string[] }): JSX.Element | null {
  if (ids.length === 0) return null;
  return (
    <section class="card" aria-label="Dependencies">
      <h2>It depends on</h2>
      <ul class="plain lines">
        {ids.slice(0, SHOWN_MAX).map((id) => (
          <li key={id}>
            <TaskLink id={id} />
          </li>
        ))}
      </ul>
      {ids.length > SHOWN_MAX ? <p class="dim">and {String(ids.length - SHOWN_MAX)} more</p> : null}
    </section>
  );
}

function Dependents(props: { readonly id: string; readonly version: string }): JSX.Element | null {
  const { id, version } = props;
  const [found, setFound] = useState<readonly TaskRow[]>([]);
  const [hasMore, setMore] = useState(false);
  useEffect(() => {
    let isCurrent = true;
    page(`${pathOf('tasks', id, 'dependents')}?limit=${String(SHOWN_MAX)}`).then(
      ({ items, next }) => {
        if (!isCurrent) return;
        setFound(items as readonly TaskRow[]);
        setMore(next !== null);
      },
      // Beside the task it is not worth a sentence: the line's own mark says that the node is away.
      () => undefined,
    );
    return () => {
      isCurrent = false;
    };
  }, [id, version]);
  if (found.length === 0) return null;
  return (
    <section class="card" aria-label="Dependents">
      <h2>What waits for it</h2>
      <ul class="plain lines">
        {found.map((task) => (
          <li key={task.id}>
            <Status of={task.status} />
            <TaskLink id={task.id} />
          </li>
        ))}
      </ul>
      {hasMore ? <p class="dim">and more</p> : null}
    </section>
  );
}
