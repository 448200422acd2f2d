import type { Fault } from './api.ts';

/** The fields of the form of a task, and how their texts become the body that the node takes. */
export type Texts = Readonly<Record<string, string>>;

export interface Field {
  readonly name: string;
  readonly title: string;
  readonly kind: 'text' | 'number' | 'list' | 'pairs' | 'json' | 'choice';
  readonly hint: string;
  readonly options?: readonly string[];
}

const TRIGGERS = ['', 'all_done', 'one_success', 'one_failed', 'none_failed'];

export const FIELDS: readonly Field[] = [
  { name: 'type', title: 'Type', kind: 'text', hint: 'which handler runs it' },
  { name: 'id', title: 'Id', kind: 'text', hint: 'empty: one is made' },
  { name: 'duration_ms', title: 'Duration, ms', kind: 'number', hint: 'of sleep, or simulated' },
  {
    name: 'priority',
    title: 'Priority',
    kind: 'number',
    hint: '1 is the most urgent, 100 the least; 50',
  },
  { name: 'max_attempts', title: 'Attempts', kind: 'number', hint: 'at most' },
  { name: 'timeout_ms', title: 'Time limit, ms', kind: 'number', hint: 'of one attempt' },
  {
    name: 'ttl_ms',
    title: 'Lives for, ms',
    kind: 'number',
    hint: 'if it has not started by then, it fails',
  },
  { name: 'delay_ms', title: 'Delay, ms', kind: 'number', hint: 'from now' },
  { name: 'expected_ms', title: 'Expected, ms', kind: 'number', hint: 'for planning' },
  { name: 'dependencies', title: 'Dependencies', kind: 'list', hint: 'ids, with commas between' },
  {
    ...{ name: 'trigger_rule', title: 'Trigger rule', kind: 'choice' },
    ...{ hint: 'when its dependencies allow it to run', options: TRIGGERS },
  },
  { name: 'tags', title: 'Tags', kind: 'list', hint: 'with commas between' },
  { name: 'labels', title: 'Labels', kind: 'pairs', hint: 'key=value that its node must have' },
  { name: 'payload', title: 'Payload', kind: 'json', hint: 'any JSON, up to 256 KiB' },
];

export function bodyOf(texts: Texts): {
  readonly body: Readonly<Record<string, unknown>>;
  readonly faults: readonly Fault[];
} {
  const body: Record<string, unknown> = {};
  const faults: Fault[] = [];
  for (const { name, kind } of FIELDS) {
    const text = (texts[name] ?? '').trim();
    if (text === '') continue;
    const value = valueOf(kind, text);
    if (value === undefined) faults.push({ pointer: `#/${name}`, detail: NO_VALUE[kind] ?? '' });
    else body[name] = value;
  }
  return { body, faults };
}

const NO_VALUE: Readonly<Record<string, string>> = {
  number: 'must be a number',
  json: 'is no JSON',
  pairs: 'must be key=value, with commas between',
};

function valueOf(kind: Field['kind'], text: string): unknown {
  switch (kind) {
    case 'number': {
      const value = Number(text);
      return Number.isNaN(value) ? undefined : value;
    }
    case 'list':
      return partsOf(text);
    case 'pairs': {
      const pairs = partsOf(text).map((part) => part.split(/=(.*)/s, 2));
      return pairs.every(({ length }) => length === 2)
        ? (Object.fromEntries(pairs) as object)
        : undefined;
    }
    case 'json':
      try {
        return JSON.parse(text) as unknown;
      } catch {
        return undefined;
      }
    case 'text':
    case 'choice':
      return text;
  }
}

function partsOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** What a replay keeps of a task: all that its submitter chose, but its id and its time. */
export function textsOf(task: Readonly<Record<string, unknown>>): Texts {
  const texts: Record<string, string> = {};
  for (const { name, kind } of FIELDS) {
    const value = task[name];
    if (value === null || value === undefined || name === 'id') continue;
    texts[name] = textOf(kind, value);
  }
  return texts;
}

function textOf(kind: Field['kind'], value: unknown): string {
  if (kind === 'json') return JSON.stringify(value, null, 2);
  if (kind === 'list') return (value as readonly string[]).join(', ');
  if (kind === 'pairs') {
    return Object.entries(value as object)
      .map(([key, each]) => `${key}=${String(each)}`)
      .join(', ');
  }
  return String(value);
}
