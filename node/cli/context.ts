import type { Command } from 'commander';
import { InputError } from './input-error.ts';
import type { ClientIdentity, CliDeps, ClientPort } from './ports.ts';
import { paintFor, printLine } from './terminal.ts';
import type { Paint } from './terminal.ts';
import type { WatchDeps } from './watch.ts';

/** What every command that talks to a cluster has. */
export interface Context {
  readonly client: ClientPort;
  readonly deps: CliDeps;
  readonly isJson: boolean;
  /** For stdout. */
  readonly paint: Paint;
  /** Data: a line on stdout. */
  readonly print: (text: string) => Promise<void>;
  /** About the data: a line on stderr, and none where programs read. */
  readonly note: (text: string) => void;
  readonly watching: WatchDeps;
}

export interface ClientFlags {
  readonly url?: readonly string[];
  readonly json?: boolean;
  readonly apiKey?: string;
}

const DEFAULT_URL = 'http://127.0.0.1:8080';

export function withClientFlags(command: Command): Command {
  const collect = (url: string, before: readonly string[] | undefined): readonly string[] => [
    ...(before ?? []),
    url,
  ];
  return command
    .option(
      '--url <url>',
      `a node of the cluster; may be repeated (env: SKEIN_URL, default: ${DEFAULT_URL})`,
      collect,
    )
    .option('--api-key <key>', 'for a cluster that asks for keys (env: SKEIN_API_KEY, safer)')
    .option('--json', 'JSON on stdout, one value a line');
}

/** Throws an InputError for a url that is none. */
export function contextOf(deps: CliDeps, flags: ClientFlags): Context {
  const isJson = flags.json ?? false;
  const { stdout, stderr, env } = deps;
  return {
    client: deps.createClient(urlsOf(flags.url, env['SKEIN_URL']), identityOf(flags, env)),
    deps,
    isJson,
    paint: paintFor(stdout, env),
    print: (text) => printLine(stdout, text),
    note: (text) => {
      if (!isJson) stderr.write(`${text}\n`);
    },
    watching: {
      clock: deps.clock,
      stream: stderr,
      paint: paintFor(stderr, env),
      isQuiet: isJson,
    },
  };
}

function identityOf(flags: ClientFlags, env: CliDeps['env']): ClientIdentity {
  const apiKey = (flags.apiKey ?? env['SKEIN_API_KEY'] ?? '').trim();
  return apiKey === '' ? {} : { apiKey };
}

function urlsOf(
  flags: readonly string[] | undefined,
  variable: string | undefined,
): readonly string[] {
  const named = (variable ?? '').split(/[\s,]+/).filter((url) => url !== '');
  const urls = flags ?? (named.length > 0 ? named : [DEFAULT_URL]);
  return urls.map((text) => {
    const url = /^https?:\/\//.test(text) ? text : `http://${text}`;
    if (!URL.canParse(url)) {
      const origin = flags === undefined ? 'SKEIN_URL' : '--url';
      throw new InputError(`${origin}: ${text} is no url of a node, such as ${DEFAULT_URL}`);
    }
    return url;
  });
}

export function json(value: unknown): string {
  return JSON.stringify(value);
}
