import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { call, reasonOf } from './api.ts';
import { goTo, linkTo, route } from './route.ts';

/** A task as JSON, checked by the very node that takes it: its refusal names every fault. */
const EXAMPLE = { type: 'sleep', duration_ms: 2000, priority: 50, payload: null };
const KEPT = [
  'type',
  'duration_ms',
  'priority',
  'max_attempts',
  'timeout_ms',
  'tags',
  'labels',
  'payload',
];

export function NewTask(): JSX.Element {
  const from = route.value.query.get('from');
  const [text, setText] = useState(JSON.stringify(EXAMPLE, null, 2));
  const [told, setTold] = useState('');
  useEffect(() => {
    if (from === null) return;
    call('GET', `/tasks/${encodeURIComponent(from)}`).then(
      (task) => {
        const kept = Object.entries(task as object).filter(
          ([key, value]) => KEPT.includes(key) && value !== null,
        );
        setText(JSON.stringify(Object.fromEntries(kept), null, 2));
      },
      (thrown: unknown) => setTold(reasonOf(thrown)),
    );
  }, [from]);
  const submit = (event: Event): void => {
    event.preventDefault();
    void Promise.resolve()
      .then(() => call('POST', '/tasks', JSON.parse(text) as object))
      .then(
        (answer) => goTo(linkTo('task', (answer as { readonly id: string }).id)),
        (thrown: unknown) => setTold(reasonOf(thrown)),
      );
  };
  return (
    <>
      <h1>{from === null ? 'New task' : 'Replay with changes'}</h1>
      <form onSubmit={submit}>
        <label for="body">The task, as POST /tasks takes it</label>
        <textarea
          id="body"
          rows={14}
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <p role="alert" class="told">
          {told}
        </p>
        <button type="submit" class="strong">
          Submit
        </button>
      </form>
    </>
  );
}
