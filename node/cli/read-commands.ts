import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { TASK_STATUSES } from '../core/task.ts';
import type { TaskStatus } from '../core/task.ts';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags, Context } from './context.ts';
import { InputError } from './input-error.ts';
import { isClientFailure } from './ports.ts';
import type { CliDeps, ListFilter, TaskLine, TaskView, WorkflowView } from './ports.ts';
import { parseTime } from './time.ts';
import { clusterLines, fieldLines, outcomeOf, taskTable } from './views.ts';
import { watchUntilEnded } from './watch.ts';
import { hasEnded, watchedTask, watchedWorkflow } from './watched.ts';

type Exit = (code: number) => void;

export function addGetCommand(program: Command, deps: CliDeps, exit: Exit): void {
  withClientFlags(
    program
      .command('get')
      .description('show a task, or a workflow')
      .argument('<id>')
      .option(
        '--wait <time>',
        'of a task: until it ends, so long at most (30s, 2m); then 0 or 1',
        timeOf,
      ),
  ).action(async (id: string, flags: ClientFlags & { readonly wait?: number }) => {
    const context = contextOf(deps, flags);
    const found = await taskOrWorkflow(context, id, flags.wait);
    if (found.kind === 'workflow' && flags.wait !== undefined) {
      throw new InputError(`--wait: ${id} is a workflow; npx skein watch ${id} waits for it`);
    }
    if (context.isJson) await context.print(json(found.body));
    else for (const line of fieldLines(found.body, context.paint)) await context.print(line);
    if (flags.wait === undefined || found.body.status === 'COMPLETED') return;
    if (found.kind === 'task' && !hasEnded(found.body.status))
      context.note(`${id} has not ended yet`);
    exit(1);
  });
}

export function addExplainCommand(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('explain')
      .description('say why a task is not running, or not finished, and about when it will be')
      .argument('<id>'),
  ).action(async (id: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const body = await context.client.explainTask(id);
    await context.print(context.isJson ? json(body) : body.sentence);
  });
}

export function addWatchCommand(program: Command, deps: CliDeps, exit: Exit): void {
  withClientFlags(
    program
      .command('watch')
      .description('follow a task or a workflow until it ends; 0 when it is COMPLETED, else 1')
      .argument('<id>'),
  ).action(async (id: string, flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const found = await taskOrWorkflow(context, id, undefined);
    const look =
      found.kind === 'task'
        ? await watchUntilEnded(watchedTask(context.client, id), context.watching)
        : await watchUntilEnded(
            watchedWorkflow(context.client, id, found.body.name),
            context.watching,
          );
    await context.print(context.isJson ? json(look.body) : outcomeOf(look, context.paint));
    exit(look.isSuccess ? 0 : 1);
  });
}

type ListFlags = ClientFlags & {
  readonly status?: TaskStatus;
  readonly type?: string;
  readonly workflow?: string;
  readonly tag?: string;
  readonly limit: number;
  readonly all?: boolean;
};

/** As many as a page of the interface has at most. */
const PAGE_MAX = 500;

export function addListCommand(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('list')
      .description('list tasks, the newest first')
      .option('--status <status>', TASK_STATUSES.join(', '), statusOf)
      .option('--type <type>', 'of this type')
      .option('--workflow <id>', 'of this workflow')
      .option('--tag <tag>', 'with this tag')
      .option('--limit <n>', 'so many at most', countOf, 50)
      .option('--all', 'every one'),
  ).action(async (flags: ListFlags) => {
    await list(contextOf(deps, flags), flags);
  });
}

async function list(context: Context, flags: ListFlags): Promise<void> {
  const { status, type, workflow, tag, limit, all = false } = flags;
  const most = all ? Number.POSITIVE_INFINITY : limit;
  const filter: ListFilter = {
    ...(status === undefined ? {} : { status }),
    ...(type === undefined ? {} : { type }),
    ...(workflow === undefined ? {} : { workflow }),
    ...(tag === undefined ? {} : { tag }),
    pageSize: Math.min(PAGE_MAX, most),
  };
  const table = taskTable(context.paint);
  const flush = async (tasks: readonly TaskLine[]): Promise<void> => {
    const lines = context.isJson ? tasks.map(json) : table.lines(tasks);
    for (const line of lines) await context.print(line);
  };
  let held: TaskLine[] = [];
  let count = 0;
  for await (const task of context.client.listTasks(filter)) {
    held.push(task);
    count += 1;
    if (count >= most) break;
    if (held.length < PAGE_MAX) continue;
    await flush(held);
    held = [];
  }
  if (held.length > 0) await flush(held);
  if (count === 0) context.note('There are no such tasks.');
  else if (count >= most) context.note(`The newest ${String(most)}; --limit or --all for more.`);
}

export function addClusterCommand(program: Command, deps: CliDeps): Command {
  return withClientFlags(
    program
      .command('cluster')
      .description('show the nodes, the leader, and how many tasks there are'),
  ).action(async (flags: ClientFlags) => {
    const context = contextOf(deps, flags);
    const cluster = await context.client.cluster();
    if (context.isJson) await context.print(json(cluster));
    else for (const line of clusterLines(cluster, context.paint)) await context.print(line);
  });
}

type Found =
  | { readonly kind: 'task'; readonly body: TaskView }
  | { readonly kind: 'workflow'; readonly body: WorkflowView };

function taskOrWorkflow(
  { client }: Context,
  id: string,
  waitMs: number | undefined,
): Promise<Found> {
  return orElseWorkflow<Found>(
    id,
    async () => ({
      kind: 'task',
      body: await client.getTask(id, waitMs === undefined ? {} : { waitMs }),
    }),
    async () => ({ kind: 'workflow', body: await client.getWorkflow(id) }),
  );
}

/** One id may name a task or a workflow: the task goes first. */
export async function orElseWorkflow<T>(
  id: string,
  ofTask: () => Promise<T>,
  ofWorkflow: () => Promise<T>,
): Promise<T> {
  try {
    return await ofTask();
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  try {
    return await ofWorkflow();
  } catch (error) {
    if (!isNotFound(error)) throw error;
    error.message = `there is no task and no workflow ${id}`;
    throw error;
  }
}

function isNotFound(error: unknown): error is Error {
  return isClientFailure(error) && error.code === 'not_found';
}

function timeOf(text: string): number {
  const ms = parseTime(text);
  if (ms === undefined)
    throw new InvalidArgumentError('It must be a time such as 500ms, 30s or 2m.');
  return ms;
}

export function statusOf(text: string): TaskStatus {
  const status = TASK_STATUSES.find((known) => known === text.toUpperCase());
  if (status === undefined) {
    throw new InvalidArgumentError(`It must be one of ${TASK_STATUSES.join(', ')}.`);
  }
  return status;
}

function countOf(text: string): number {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count < 1) throw new InvalidArgumentError('It must be a whole number above 0.');
  return count;
}
