import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { call, pathOf, reasonOf } from './api.ts';
import type { TypeBody } from './bodies.ts';
import { Change } from './change.tsx';
import { count } from './format.ts';
import { Empty, Head, Status, Waiting } from './parts.tsx';
import { usePoll } from './poll.ts';
import { linkTo } from './route.ts';
import { Chips } from './task.tsx';

/** The types of tasks: who runs them, and what holds them back. */
const NOTE =
  'Each type of task is a handler. Tasks of a paused type wait; a limit says how many may run at ' +
  'a time, on all nodes together.';

export function Types(): JSX.Element {
  const { items, fault, again } = usePoll<TypeBody>('/types?limit=500');
  if (items === null) return <Waiting fault={fault} />;
  return (
    <>
      <Head title="Types" note={NOTE} />
      <section class="card">
        {items.length === 0 ? (
          <Empty icon="types" title="No type is known yet.">
            Types appear when a node registers a handler, or a task of theirs is submitted.
          </Empty>
        ) : (
          <div class="wide" tabIndex={0}>
            <table>
              <thead>
                <tr>
                  {['Type', 'State', 'Run by', 'Runs at a time', 'Change'].map((name) => (
                    <th key={name}>{name}</th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {items.map((type) => (
                  <Line key={type.type} type={type} again={again} />
                ))}
              </tbody>
            </table>
          </div>
        )}
      </section>
    </>
  );
}

function Line(props: { readonly type: TypeBody; readonly again: () => void }): JSX.Element {
  const { type, again } = props;
  const { type: name, paused, nodes, handled } = type;
  return (
    <tr>
      <td>
        <a class="id" href={linkTo('tasks', '', { type: name })}>
          {name}
        </a>
      </td>
      <td>{paused ? <Status of="PAUSED" /> : <span class="dim">open</span>}</td>
      <td>
        {nodes.length > 0 ? (
          <Chips of={nodes} />
        ) : (
          <span class="dim">{handled ? 'no living node' : 'no handler'}</span>
        )}
      </td>
      <td>
        <Limit key={String(type.max_running)} type={type} again={again} />
      </td>
      <td>
        <span class="actions">
          <Change
            key={String(paused)}
            label={paused ? 'Resume' : 'Pause'}
            icon={paused ? 'play' : 'pause'}
            path={pathOf('types', name, paused ? 'resume' : 'pause')}
            done=""
            onDone={again}
          />
        </span>
      </td>
    </tr>
  );
}

function Limit(props: { readonly type: TypeBody; readonly again: () => void }): JSX.Element {
  const { type, again } = props;
  const [text, setText] = useState<string | null>(null);
  const [told, setTold] = useState('');
  const { max_running: limit, type: name } = type;
  if (text === null) {
    return (
      <button type="button" class="quiet" onClick={() => setText(String(limit ?? ''))}>
        {limit === null ? 'as many as fit' : `${count(limit)} at most`}
      </button>
    );
  }
  const save = (event: Event): void => {
    event.preventDefault();
    const value = text.trim() === '' ? null : Number(text);
    call('PATCH', pathOf('types', name), { max_running: value }).then(
      () => {
        setText(null);
        again();
      },
      (thrown: unknown) => setTold(reasonOf(thrown)),
    );
  };
  return (
    <form class="actions" onSubmit={save}>
      <input
        class="short"
        type="number"
        min={0}
        aria-label={`How many ${name} may run at a time; empty for no limit`}
        placeholder="no limit"
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit">Set</button>
      <button type="button" class="quiet" onClick={() => setText(null)}>
        Leave
      </button>
      <span class="told" role="alert">
        {told}
      </span>
    </form>
  );
}
