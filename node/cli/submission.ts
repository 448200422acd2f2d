import { InputError } from './input-error.ts';
import type { TaskSpec, WorkflowSpec } from './ports.ts';
import { oneLine } from './terminal.ts';
import { isWfFormat, workflowOfWfFormat } from './wfformat.ts';

/**
 * What a file holds: one task, a batch, a workflow, or lines of tasks. It is told by the content alone
 * (but for the names `.ndjson` and `.jsonl`), and bodies are otherwise left to the cluster to judge.
 * Lines are streamed; any other file is read whole, within a bound.
 */
export type Submission =
  | { readonly kind: 'task'; readonly task: TaskSpec }
  | { readonly kind: 'batch'; readonly tasks: readonly TaskSpec[] }
  | { readonly kind: 'workflow'; readonly workflow: WorkflowSpec }
  | { readonly kind: 'lines'; readonly lines: AsyncIterable<string> };

export interface SubmissionOptions {
  readonly id?: string;
  readonly name?: string;
  readonly priority?: number;
  readonly timeScale?: number;
  readonly type?: string;
}

export interface Source {
  /** How the file is called in messages. */
  readonly name: string;
  readonly chunks: AsyncIterable<Uint8Array>;
}

const DOCUMENT_CHARACTERS_MAX = 256 * 1024 * 1024;

/** Throws an InputError for a file that is none of these, or an option that it cannot take. */
export async function readSubmission(
  source: Source,
  options: SubmissionOptions,
): Promise<Submission> {
  const lines = linesOf(source);
  const isNamedSo = /\.(ndjson|jsonl)$/i.test(source.name);
  // A whole object on the first line, and more behind it, can only be NDJSON.
  const first = await nextLine(lines);
  if (first === undefined) throw new InputError(`${source.name}: is empty`);
  const second = isObject(first) || isNamedSo ? await nextLine(lines) : undefined;
  if (isNamedSo || second !== undefined) {
    refuse(options, ['id', 'name', 'priority', 'timeScale', 'type'], 'a file of lines (NDJSON)');
    return {
      kind: 'lines',
      lines: chain([first, ...(second === undefined ? [] : [second])], lines),
    };
  }
  const text = await restOf(first, lines, source.name);
  return submissionOf(parseOrThrow(text, source.name), source.name, options);
}

function submissionOf(value: unknown, file: string, options: SubmissionOptions): Submission {
  const { id, name, priority, type, timeScale = 1 } = options;
  const given = {
    ...(id === undefined ? {} : { id }),
    ...(name === undefined ? {} : { name }),
    ...(priority === undefined ? {} : { priority }),
  };
  if (isWfFormat(value)) {
    try {
      const workflow = workflowOfWfFormat(value, {
        timeScale,
        ...(type === undefined ? {} : { type }),
      });
      return { kind: 'workflow', workflow: { ...workflow, ...given } };
    } catch (error) {
      throw error instanceof InputError ? new InputError(`${file}: ${error.message}`) : error;
    }
  }
  refuse(options, ['timeScale', 'type'], 'a file that is not in WfFormat');
  if (Array.isArray(value)) {
    const tasks = value as readonly TaskSpec[];
    // Ids and names are those of a workflow: the list becomes one.
    if (id !== undefined || name !== undefined) {
      return { kind: 'workflow', workflow: { ...given, tasks } };
    }
    const withPriority = tasks.map((task) => (isFields(task) ? { ...given, ...task } : task));
    return { kind: 'batch', tasks: withPriority };
  }
  if (!isFields(value)) {
    throw new InputError(`${file}: must hold a task, a list of tasks, or a workflow`);
  }
  if ('tasks' in value) {
    return { kind: 'workflow', workflow: { ...(value as unknown as WorkflowSpec), ...given } };
  }
  refuse(options, ['name'], 'a single task');
  return { kind: 'task', task: { ...(value as unknown as TaskSpec), ...given } };
}

const FLAGS: Readonly<Record<keyof SubmissionOptions, string>> = {
  id: '--id',
  name: '--name',
  priority: '--priority',
  timeScale: '--time-scale',
  type: '--type',
};

function refuse(
  options: SubmissionOptions,
  keys: readonly (keyof SubmissionOptions)[],
  what: string,
): void {
  const flags = keys.filter((key) => options[key] !== undefined).map((key) => FLAGS[key]);
  if (flags.length > 0) throw new InputError(`${flags.join(', ')}: not possible for ${what}`);
}

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isObject(line: string): boolean {
  try {
    return isFields(JSON.parse(line));
  } catch {
    return false;
  }
}

/**
 * A fault is told by line and column, where an editor can go; for some faults V8 quotes what stands
 * around them instead.
 */
function parseOrThrow(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const position = /at position (\d+)/.exec(message)?.[1];
    const what = oneLine(message.replace(/( in JSON)? at position.*$/s, ''));
    const place = position === undefined ? '' : ` at ${placeOf(text, Number(position))}`;
    throw new InputError(`${file}: is not JSON: ${what}${place}`, { cause: error });
  }
}

function placeOf(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `line ${String(before.length)}, column ${String((before.at(-1)?.length ?? 0) + 1)}`;
}

/** Lines without their ends; throws for bytes that are not UTF-8. */
async function* linesOf({ name, chunks }: Source): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw new InputError(`${name}: is not text in UTF-8`, { cause });
    }
  };
  let rest = '';
  for await (const chunk of chunks) {
    const text = decode(chunk);
    const end = text.lastIndexOf('\n');
    if (end === -1) {
      rest += text;
    } else {
      yield* (rest + text.slice(0, end)).split('\n');
      rest = text.slice(end + 1);
    }
    if (rest.length > DOCUMENT_CHARACTERS_MAX) throw tooLarge(name);
  }
  yield rest + decode();
}

async function nextLine(lines: AsyncGenerator<string>): Promise<string | undefined> {
  for (;;) {
    const next = await lines.next();
    if (next.done === true) return undefined;
    if (next.value.trim() !== '') return next.value;
  }
}

async function* chain(
  first: readonly string[],
  rest: AsyncIterable<string>,
): AsyncGenerator<string, void, undefined> {
  yield* first;
  for await (const line of rest) if (line.trim() !== '') yield line;
}

async function restOf(first: string, lines: AsyncIterable<string>, file: string): Promise<string> {
  const all = [first];
  let length = first.length;
  for await (const line of lines) {
    length += line.length + 1;
    if (length > DOCUMENT_CHARACTERS_MAX) throw tooLarge(file);
    all.push(line);
  }
  return all.join('\n');
}

function tooLarge(file: string): InputError {
  return new InputError(`${file}: is larger than 256 MiB; write one task a line (NDJSON) instead`);
}
