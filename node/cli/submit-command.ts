import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { createReadStream } from 'node:fs';
import { uuidv7 } from '../base/uuid.ts';
import { PRIORITY } from '../core/task.ts';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import type { CliDeps, OnceFlags, TaskSpec } from './ports.ts';
import { readSubmission } from './submission.ts';
import type { Source, Submission, SubmissionOptions } from './submission.ts';
import { outcomeOf } from './views.ts';
import { watchUntilEnded } from './watch.ts';
import type { Watched } from './watch.ts';
import { watchedBatch, watchedTask, watchedWorkflow } from './watched.ts';

type Flags = ClientFlags & SubmissionOptions & OnceFlags & { readonly wait?: boolean };

const MORE_HELP = `
FILE holds a task, a list of tasks (all or nothing), a workflow ({"tasks": […]}), one task a line
(NDJSON), or a recorded workflow in WfFormat 1.5, whose tasks become tasks with the recorded run time
as duration_ms. A list with --id or --name becomes a workflow. - stands for stdin.

Prints the id of what was accepted (of a list every id; of lines their number). With --wait it ends
when all has ended: with 0 when all is COMPLETED, else with 1.`;

export function addSubmitCommand(
  program: Command,
  deps: CliDeps,
  exit: (code: number) => void,
): void {
  withClientFlags(
    program
      .command('submit')
      .description('submit a task, a batch or a workflow from a file')
      .argument('<file>', 'JSON, NDJSON or WfFormat; - for stdin')
      .option('--id <id>', 'id of the task or workflow')
      .option('--name <name>', 'name of the workflow')
      .option('--priority <n>', '1 is the most urgent, 100 the least, 50 the default', priorityOf)
      .option('--time-scale <factor>', 'WfFormat: multiply the recorded run times (1)', factorOf)
      .option('--type <type>', 'WfFormat: type of all tasks (the name of the recorded program)')
      .option('--wait', 'wait until all has ended')
      .option('--idempotency-key <key>', 'repeated under it within a day, it is submitted once')
      .addHelpText('after', MORE_HELP),
  ).action(async (file: string, flags: Flags) => {
    const context = contextOf(deps, flags);
    const submission = await readSubmission(sourceOf(file, deps), flags);
    const { wait = false, idempotencyKey } = flags;
    if (idempotencyKey !== undefined && wait && submission.kind === 'lines') {
      throw new InputError(
        '--idempotency-key: lines cannot be waited for as well, they get ids here',
      );
    }
    const once = idempotencyKey === undefined ? {} : { idempotencyKey };
    exit((await submit(context, submission, wait, once)) ? 0 : 1);
  });
}

/** False where it was waited for and did not end well. */
async function submit(
  context: Context,
  submission: Submission,
  isWaitedFor: boolean,
  once: OnceFlags,
): Promise<boolean> {
  const { client, print, note, isJson } = context;
  switch (submission.kind) {
    case 'task': {
      const answer = await client.submitTask(submission.task, once);
      if (isWaitedFor) return waitFor(context, watchedTask(client, answer.id));
      await print(isJson ? json(answer) : answer.id);
      return true;
    }
    case 'workflow': {
      const answer = await client.submitWorkflow(submission.workflow, once);
      const { id, name, status, count } = answer;
      note(`${name}: ${tasks(count)} accepted as the workflow ${id}`);
      if (isWaitedFor) return waitFor(context, watchedWorkflow(client, id, name));
      note(`Follow it: npx skein watch ${id}`);
      await print(isJson ? json({ id, name, status, count }) : id);
      return true;
    }
    case 'batch': {
      const { count, ids } = await submitList(context, submission.tasks, once);
      note(`${tasks(count)} accepted`);
      if (isWaitedFor) return waitFor(context, watchedBatch(client, ids));
      if (isJson) await print(json({ count, ids }));
      else for (const id of ids) await print(id);
      return true;
    }
    case 'lines': {
      const ids: string[] = [];
      const lines = isWaitedFor ? withIds(submission.lines, ids) : submission.lines;
      const { count } = await client.submitNdjson(lines, once);
      note(`${tasks(count)} accepted`);
      if (isWaitedFor) return waitFor(context, watchedBatch(client, ids));
      await print(isJson ? json({ count }) : String(count));
      return true;
    }
  }
}

/** Near the limit of a JSON body (16 MiB); beyond it a list goes out line by line. */
const JSON_CHARACTERS_MAX = 5 * 1024 * 1024;

async function submitList(
  { client }: Context,
  list: readonly TaskSpec[],
  once: OnceFlags,
): Promise<{ count: number; ids: readonly string[] }> {
  // Lines would carry ids made here, which are others each time.
  const isWhole = once.idempotencyKey !== undefined || json(list).length < JSON_CHARACTERS_MAX;
  if (isWhole) return client.submitBatch(list, once);
  const ids: string[] = [];
  const { count } = await client.submitNdjson(withIds(list.map(json), ids));
  return { count, ids };
}

async function waitFor<Body extends object>(
  context: Context,
  watched: Watched<Body>,
): Promise<boolean> {
  const look = await watchUntilEnded(watched, context.watching);
  await context.print(context.isJson ? json(look.body) : outcomeOf(look, context.paint));
  return look.isSuccess;
}

/** Collects the ids that go by, and gives one to each task without. What is no task goes as it is. */
async function* withIds(
  lines: Iterable<string> | AsyncIterable<string>,
  ids: string[],
): AsyncGenerator<string, void, undefined> {
  for await (const line of lines) {
    const task = maybeTask(line);
    const id = typeof task?.['id'] === 'string' ? task['id'] : uuidv7();
    ids.push(id);
    yield task === undefined || task['id'] !== undefined ? line : json({ id, ...task });
  }
}

function maybeTask(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Readonly<Record<string, unknown>>;
  } catch {
    return undefined;
  }
}

export function sourceOf(file: string, deps: CliDeps): Source {
  if (file === '-') return { name: 'stdin', chunks: deps.stdin };
  return { name: file, chunks: chunksOf(file) };
}

async function* chunksOf(file: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of createReadStream(file)) yield chunk as Buffer;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why = READ_FAULTS.get(code) ?? `cannot be read (${code})`;
    throw new InputError(`${file}: ${why}`, { cause: error });
  }
}

const READ_FAULTS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'there is no such file'],
  ['EISDIR', 'is a folder'],
  ['EACCES', 'may not be read by you'],
]);

function tasks(count: number): string {
  return count === 1 ? '1 task' : `${String(count)} tasks`;
}

export function priorityOf(text: string): number {
  const number = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= PRIORITY.most && number <= PRIORITY.least) return number;
  throw new InvalidArgumentError('It must be a whole number from 1 (the most urgent) to 100.');
}

function factorOf(text: string): number {
  const factor = /^[\d.]+(e-?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (factor > 0 && factor <= 1e6) return factor;
  throw new InvalidArgumentError('It must be a number above 0.');
}
