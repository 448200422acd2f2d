import type { Command } from 'commander';
import { toError } from '../base/errors.ts';
import { contextOf } from './context.ts';
import { InputError } from './input-error.ts';
import type { CliDeps } from './ports.ts';

interface Flags {
  readonly clusterDir: string;
  readonly days: number;
}

const DAYS_MAX = 3650;

/** The files by which nodes know each other: made on one machine, and carried to the others. */
export function addClusterFilesCommands(program: Command, cluster: Command, deps: CliDeps): void {
  const withFolder = (command: Command, days: number): Command =>
    command
      .requiredOption('--cluster-dir <dir>', 'the folder of the files, as for `skein node`')
      .option(
        '--days <days>',
        `how long the certificate is valid (default: ${String(days)})`,
        daysOf,
        days,
      );
  withFolder(
    cluster
      .command('init')
      .description('make the authority of a cluster, and the certificate of a node'),
    365,
  ).action(async ({ clusterDir, days }: Flags) => {
    await judged(deps.cluster.init(clusterDir, days));
    const { note } = contextOf(deps, {});
    note(
      `${clusterDir}: ca.pem, node.pem, node-key.pem for this node; keep ca-key.pem to admit others`,
    );
  });
  withFolder(
    program.command('join-token').description('print a token that admits a node to the cluster'),
    365,
  ).action(async ({ clusterDir, days }: Flags) => {
    const { print, note } = contextOf(deps, {});
    await print(await judged(deps.cluster.token(clusterDir, days)));
    note('It holds the key of a node: send it as you would a password.');
  });
  withFolder(
    cluster
      .command('join')
      .description('write the files of a node out of a token, read from stdin or given')
      .argument('[token]'),
    365,
  ).action(async (token: string | undefined, { clusterDir }: Flags) => {
    await judged(deps.cluster.join(clusterDir, token ?? (await textOf(deps.stdin))));
    contextOf(deps, {}).note(`${clusterDir}: ca.pem, node.pem, node-key.pem`);
  });
}

function daysOf(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= DAYS_MAX) return days;
  throw new InputError(`--days: must be 1 to ${String(DAYS_MAX)}`);
}

async function judged<T>(action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (thrown) {
    throw new InputError(toError(thrown).message);
  }
}

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString().trim();
}
