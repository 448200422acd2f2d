import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { Refusal, call, pathOf, reasonOf } from './api.ts';
import type { Fault } from './api.ts';
import { Head, Segments } from './parts.tsx';
import { goTo, linkTo, route } from './route.ts';
import { FIELDS, bodyOf, textsOf } from './task-fields.ts';
import type { Field, Texts } from './task-fields.ts';
import { usePoll } from './poll.ts';
import type { TypeBody } from './bodies.ts';

/**
 * A task from a form, or a task or workflow as JSON. It is checked by the very node that takes it: each fault
 * of its refusal is shown at the field that it names.
 */
type Kind = 'task' | 'json' | 'workflow';
const KINDS = [
  ['task', 'Form'],
  ['json', 'Task as JSON'],
  ['workflow', 'Workflow as JSON'],
] as const;

const WORKFLOW = {
  name: 'example',
  tasks: [
    { id: 'fetch', type: 'sleep', duration_ms: 1500 },
    { id: 'left', type: 'sleep', duration_ms: 3000, dependencies: ['fetch'] },
    { id: 'right', type: 'sleep', duration_ms: 2000, dependencies: ['fetch'] },
    { id: 'join', type: 'noop', dependencies: ['left', 'right'] },
  ],
};

interface Told {
  readonly sentence: string;
  readonly faults: readonly Fault[];
}
const NOTHING: Told = { sentence: '', faults: [] };

export function NewTask(): JSX.Element {
  const from = route.value.query.get('from');
  const asked = route.value.query.get('kind');
  const kind: Kind = asked === 'workflow' || asked === 'json' ? asked : 'task';
  const [texts, setTexts] = useState<Texts>({ type: 'sleep', duration_ms: '2000' });
  const [json, setJson] = useState('');
  const [told, setTold] = useState<Told>(NOTHING);
  useEffect(() => {
    if (from === null) return;
    call('GET', pathOf('tasks', from)).then(
      (task) => setTexts(textsOf(task as Readonly<Record<string, unknown>>)),
      (thrown: unknown) => setTold({ sentence: reasonOf(thrown), faults: [] }),
    );
  }, [from]);
  useEffect(() => {
    setTold(NOTHING);
    if (kind === 'workflow') setJson(JSON.stringify(WORKFLOW, null, 2));
    if (kind === 'json') setJson(JSON.stringify(bodyOf(texts).body, null, 2));
  }, [kind]);
  const submit = (event: Event): void => {
    event.preventDefault();
    void submitted(kind, kind === 'task' ? bodyOf(texts) : bodyOfJson(json)).then(setTold);
  };
  return (
    <>
      <Head
        title={from === null ? 'New task' : 'Replay with changes'}
        note={from === null ? undefined : `A new task like ${from}; that one stays as it is.`}
      >
        <Segments
          label="Given as"
          of={KINDS}
          at={kind}
          onPick={(next) =>
            goTo(linkTo('new', '', { from: from ?? '', kind: next === 'task' ? '' : next }))
          }
        />
      </Head>
      <form class="card newtask" onSubmit={submit} noValidate>
        {kind === 'task' ? (
          <Form texts={texts} faults={told.faults} onChange={setTexts} />
        ) : (
          <Json kind={kind} json={json} faults={told.faults} onChange={setJson} />
        )}
        <p role="alert" class="told">
          {told.sentence}
        </p>
        <div class="actions">
          <button type="submit" class="strong">
            Submit
          </button>
          <span class="dim">Checked by the node that takes it, before anything is stored.</span>
        </div>
      </form>
    </>
  );
}

/** Goes to what was accepted; else says what was wrong with it. */
async function submitted(
  kind: Kind,
  { body, faults }: { readonly body: unknown; readonly faults: readonly Fault[] },
): Promise<Told> {
  if (faults.length > 0) return { sentence: 'It cannot be sent like this.', faults };
  const [path, view] = kind === 'workflow' ? ['/workflows', 'workflow'] : ['/tasks', 'task'];
  try {
    const { id } = (await call('POST', path, body)) as { readonly id: string };
    goTo(linkTo(view, id));
    return NOTHING;
  } catch (thrown) {
    const found = thrown instanceof Refusal ? thrown.faults : [];
    return { sentence: reasonOf(thrown), faults: found };
  }
}

function bodyOfJson(json: string): { readonly body: unknown; readonly faults: readonly Fault[] } {
  try {
    return { body: JSON.parse(json) as unknown, faults: [] };
  } catch (thrown) {
    return { body: null, faults: [{ pointer: '#', detail: `is no JSON: ${reasonOf(thrown)}` }] };
  }
}

function Json(props: {
  readonly kind: Kind;
  readonly json: string;
  readonly faults: readonly Fault[];
  readonly onChange: (json: string) => void;
}): JSX.Element {
  const { kind, json, faults, onChange } = props;
  const path = kind === 'workflow' ? 'POST /workflows' : 'POST /tasks';
  return (
    <>
      <label for="body">
        The {kind === 'workflow' ? 'workflow' : 'task'}, as <code>{path}</code> takes it
      </label>
      <textarea
        id="body"
        rows={18}
        spellcheck={false}
        value={json}
        aria-invalid={faults.length > 0}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
      {faults.length === 0 ? null : (
        <ul class="plain faults">
          {faults.map(({ pointer, detail }) => (
            <li key={pointer + detail}>
              <code>{pointer}</code> {detail}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function Form(props: {
  readonly texts: Texts;
  readonly faults: readonly Fault[];
  readonly onChange: (texts: Texts) => void;
}): JSX.Element {
  const { texts, faults, onChange } = props;
  const { items } = usePoll<TypeBody>('/types?limit=500');
  const known = FIELDS.map(({ name }) => name);
  const others = faults.filter(({ pointer }) => !known.includes(nameAt(pointer)));
  return (
    <div class="fields">
      <datalist id="types">
        {items?.map(({ type }) => (
          <option key={type} value={type} />
        ))}
      </datalist>
      {FIELDS.map((field) => (
        <Input
          key={field.name}
          field={field}
          text={texts[field.name] ?? ''}
          faults={faults.filter(({ pointer }) => nameAt(pointer) === field.name)}
          onInput={(text) => onChange({ ...texts, [field.name]: text })}
        />
      ))}
      {others.map(({ pointer, detail }) => (
        <p key={pointer + detail} class="told">
          <code>{pointer}</code> {detail}
        </p>
      ))}
    </div>
  );
}

/** `#/backoff/base_ms` is shown at `backoff`. */
function nameAt(pointer: string): string {
  return pointer.split('/')[1] ?? '';
}

function Input(props: {
  readonly field: Field;
  readonly text: string;
  readonly faults: readonly Fault[];
  readonly onInput: (text: string) => void;
}): JSX.Element {
  const { field, text, faults, onInput } = props;
  const { name, title, kind, hint, options } = field;
  const id = `field-${name}`;
  const isWrong = faults.length > 0;
  const described = { 'aria-invalid': isWrong, 'aria-describedby': `${id}-hint` };
  return (
    <div class={`field ${kind === 'json' ? 'whole' : ''} ${isWrong ? 'wrong' : ''}`}>
      <label for={id}>{title}</label>
      {kind === 'json' ? (
        <textarea
          id={id}
          rows={6}
          spellcheck={false}
          value={text}
          {...described}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      ) : kind === 'choice' ? (
        <select
          id={id}
          value={text}
          {...described}
          onInput={(event) => onInput(event.currentTarget.value)}
        >
          {(options ?? []).map((option) => (
            <option key={option} value={option}>
              {option === '' ? 'all_success' : option}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type="text"
          value={text}
          autocomplete="off"
          spellcheck={false}
          inputMode={kind === 'number' ? 'numeric' : 'text'}
          list={name === 'type' ? 'types' : undefined}
          {...described}
          onInput={(event) => onInput(event.currentTarget.value)}
        />
      )}
      <small id={`${id}-hint`}>
        {isWrong ? (
          <b class="told">
            {faults.map(({ pointer, detail }) => `${deeper(pointer)}${detail}`).join('; ')}
          </b>
        ) : (
          hint
        )}
      </small>
    </div>
  );
}

function deeper(pointer: string): string {
  const rest = pointer.split('/').slice(2).join('/');
  return rest === '' ? '' : `${rest} `;
}
