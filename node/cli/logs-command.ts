import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { contextOf, json, withClientFlags } from './context.ts';
import type { ClientFlags } from './context.ts';
import type { CliDeps, LogLineView } from './ports.ts';

type LogFlags = ClientFlags & { readonly follow?: boolean; readonly attempt?: number };

export function addLogsCommand(program: Command, deps: CliDeps): void {
  withClientFlags(
    program
      .command('logs')
      .description('print what the attempts of a task have said')
      .argument('<id>')
      .option('-f, --follow', 'go on with what they say until the task has ended')
      .option('--attempt <n>', 'of this attempt only', attemptOf),
  ).action(async (id: string, flags: LogFlags) => {
    const { follow = false, attempt } = flags;
    const context = contextOf(deps, flags);
    const asked = { follow, ...(attempt === undefined ? {} : { attempt }) };
    let count = 0;
    for await (const line of context.client.logs(id, asked)) {
      count += 1;
      await context.print(context.isJson ? json(line) : textOf(line));
    }
    if (count === 0) context.note(`${id} has said nothing`);
  });
}

/** What could move the cursor of a terminal is shown, and not done. */
function textOf({ at, attempt, level, message, fields, stale }: LogLineView): string {
  const mark = stale === true ? ' (stale)' : '';
  const said = fields === undefined ? message : `${message} ${json(fields)}`;
  const shown = said.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
  return `${at} [${String(attempt)}${mark}] ${level} ${shown.replaceAll('\n', '\n    ')}`;
}

function attemptOf(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new InvalidArgumentError('It must be a number from 1 up.');
  return Number(text);
}
