import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, reasonOf } from './api.ts';
import { Ago, Copyable, Empty, Status, TaskLink, Waiting, said, useView } from './parts.tsx';
import { linkTo } from './route.ts';

/** One task: what it is and why, what it was given and gave, each of its attempts, what it said. */
type Fields = Readonly<Record<string, unknown>>;

export function Task({ id }: { readonly id: string }): JSX.Element {
  const { view, fault } = useView({ view: 'task', id });
  if (view === null) return <Waiting fault={fault} />;
  const { fields } = view;
  const status = said(fields['status']);
  const hasEnded = status !== 'QUEUED' && status !== 'RUNNING';
  return (
    <>
      <h1 class="id">{id}</h1>
      <div class="actions">
        <Status of={status} />
        <Change id={id} kind="cancel" isPossible={!hasEnded} />
        <Change id={id} kind="retry" isPossible={hasEnded && status !== 'COMPLETED'} />
        <a href={`${linkTo('new')}?from=${encodeURIComponent(id)}`}>Replay with changes</a>
      </div>
      <Why id={id} version={`${status}${said(fields['attempt'])}`} />
      <Progress of={fields['progress']} />
      <Facts fields={fields} />
      <Attempts attempts={fields['attempts'] as readonly Fields[]} />
      {fields['error'] == null ? null : <Copyable title="Error" value={fields['error']} />}
      {fields['result'] == null ? null : <Copyable title="Result" value={fields['result']} />}
      {fields['payload'] == null ? null : <Copyable title="Payload" value={fields['payload']} />}
      <Logs id={id} version={`${status}${said(fields['attempt'])}`} />
    </>
  );
}

function Change(props: {
  readonly id: string;
  readonly kind: 'cancel' | 'retry';
  readonly isPossible: boolean;
}): JSX.Element {
  const [told, setTold] = useState('');
  const ask = (): void => {
    call('POST', `/tasks/${encodeURIComponent(props.id)}/${props.kind}`).then(
      () => setTold(`its ${props.kind} is accepted`),
      (thrown: unknown) => setTold(reasonOf(thrown)),
    );
  };
  return (
    <>
      <button type="button" disabled={!props.isPossible} onClick={ask}>
        {props.kind === 'cancel' ? 'Cancel' : 'Retry'}
      </button>
      <span role="status">{told}</span>
    </>
  );
}

/** Asked anew when the task has changed. */
function Why({ id, version }: { readonly id: string; readonly version: string }): JSX.Element {
  const [sentence, setSentence] = useState('');
  useEffect(() => {
    let isCurrent = true;
    call('GET', `/tasks/${encodeURIComponent(id)}/explain`).then(
      (answer) => isCurrent && setSentence(said((answer as Fields)['sentence'])),
      (thrown: unknown) => isCurrent && setSentence(reasonOf(thrown)),
    );
    return () => {
      isCurrent = false;
    };
  }, [id, version]);
  return <p class="why">{sentence}</p>;
}

function Progress({ of }: { readonly of: unknown }): JSX.Element | null {
  if (of === undefined || of === null) return null;
  const { fraction, note } = of as { readonly fraction: number; readonly note: string | null };
  return (
    <p>
      <progress value={fraction} max={1} aria-label="Progress" /> {Math.round(fraction * 100)} %{' '}
      {note ?? ''}
    </p>
  );
}

const FACTS = [
  'type',
  'priority',
  'node',
  'workflow',
  'duration_ms',
  'timeout_ms',
  'trigger_rule',
  'tags',
  'labels',
];
const TIMES = ['created_at', 'run_at', 'started_at', 'finished_at'];

function Facts({ fields }: { readonly fields: Fields }): JSX.Element {
  const dependencies = fields['dependencies'] as readonly string[];
  return (
    <dl class="facts">
      {FACTS.filter((name) => fields[name] != null && said(fields[name]) !== '[]').map((name) => (
        <div key={name}>
          <dt>{name.replaceAll('_', ' ')}</dt>
          <dd>
            {name === 'workflow' ? (
              <a href={linkTo('workflow', said(fields[name]))}>{said(fields[name])}</a>
            ) : (
              said(fields[name])
            )}
          </dd>
        </div>
      ))}
      {TIMES.filter((name) => fields[name] != null).map((name) => (
        <div key={name}>
          <dt>{name.replaceAll('_', ' ')}</dt>
          <dd>
            <Ago at={fields[name]} />
          </dd>
        </div>
      ))}
      {dependencies.length === 0 ? null : (
        <div>
          <dt>dependencies</dt>
          <dd>
            {dependencies.slice(0, 50).map((each) => (
              <TaskLink key={each} id={each} />
            ))}
            {dependencies.length > 50 ? ` and ${String(dependencies.length - 50)} more` : ''}
          </dd>
        </div>
      )}
    </dl>
  );
}

function Attempts({ attempts }: { readonly attempts: readonly Fields[] }): JSX.Element {
  if (attempts.length === 0) return <Empty>It has not been tried yet.</Empty>;
  return (
    <section class="card">
      <h3>Attempts</h3>
      <div class="wide" tabIndex={0}>
        <table>
          <thead>
            <tr>
              {['Attempt', 'Outcome', 'Node', 'Started', 'Ended', 'Error'].map((name) => (
                <th key={name}>{name}</th>
              ))}
            </tr>
          </thead>
          <tbody>
            {attempts.map((attempt) => (
              <tr key={String(attempt['lease_seq'])}>
                <td>{said(attempt['attempt'])}</td>
                <td>
                  <Status of={attempt['outcome']} />
                </td>
                <td>{said(attempt['node'])}</td>
                <td>
                  <Ago at={attempt['started_at']} />
                </td>
                <td>
                  <Ago at={attempt['finished_at']} />
                </td>
                <td>{attempt['error'] === null ? '' : said(attempt['error'])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const LINES_MAX = 2000;

/** As they come, for as long as the task runs. */
function Logs({ id, version }: { readonly id: string; readonly version: string }): JSX.Element {
  const [lines, setLines] = useState<readonly string[]>([]);
  useEffect(() => {
    const gone = new AbortController();
    setLines([]);
    void follow(id, gone.signal, (said) => {
      setLines((before) => [...before, ...said].slice(-LINES_MAX));
    }).catch(() => undefined);
    return () => gone.abort();
  }, [id, version]);
  if (lines.length === 0) return <Empty>It has said nothing.</Empty>;
  return (
    <section class="card">
      <h3>Logs</h3>
      <pre class="logs" tabIndex={0}>
        {lines.join('\n')}
      </pre>
    </section>
  );
}

async function follow(
  id: string,
  signal: AbortSignal,
  take: (lines: readonly string[]) => void,
): Promise<void> {
  const response = await fetch(`/tasks/${encodeURIComponent(id)}/logs?follow=1`, { signal });
  if (!response.ok || response.body === null) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split('\n');
    rest = lines.pop() ?? '';
    if (lines.length > 0) take(lines);
  }
  if (rest !== '') take([rest]);
}
