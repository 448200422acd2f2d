import path from 'node:path';
import { styleText } from 'node:util';
import { escaped } from '../node/observe/log-lines.ts';
import type { ClusterView } from './readiness.ts';

export interface StartedNode {
  readonly name: string;
  readonly pid: number;
  readonly httpUrl: string;
  readonly grpcAddress: string;
}

export interface Started {
  readonly nodes: readonly StartedNode[];
  readonly view: ClusterView;
  /** Of the embedded PostgreSQL, undefined for one of the user's own. */
  readonly embedded: { readonly version: string; readonly home: string } | undefined;
  readonly dataDir: string;
  readonly simulate: boolean;
  readonly seconds: number;
}

/** The one line of `--json`. */
export function jsonLineOf(started: Started): string {
  return JSON.stringify({
    nodes: started.nodes.map(({ name, pid, httpUrl, grpcAddress }) => ({
      name,
      pid,
      http_url: httpUrl,
      grpc_address: grpcAddress,
    })),
    leader: started.view.leader,
    term: started.view.term,
    database: started.embedded === undefined ? 'external' : 'embedded',
    data_dir: started.dataDir,
  });
}

/** What runs where, and the one line to try next. */
export function firstScreenOf(started: Started, isColoured: boolean): string {
  const { nodes, view, seconds } = started;
  const url = nodes[0]?.httpUrl ?? '';
  const leader = nodes.find((node) => node.name === view.leader);
  const other = nodes.find((node) => node !== leader) ?? leader;
  const folder = displayed(started.dataDir);
  const count = nodes.length === 1 ? '1 node' : `${String(nodes.length)} nodes`;
  const term = `term ${String(view.term)}`;
  const task = started.simulate
    ? `{"id":"first","type":"data_processing","duration_ms":2000}`
    : `{"id":"first","type":"sleep","duration_ms":2000}`;
  const rows: readonly (readonly [string, string])[] = [
    [
      'Cluster',
      `${count}, leader ${view.leader ?? '-'} (${term}), ready in ${seconds.toFixed(1)} s`,
    ],
    ['Page', `${url}/`],
    ['API', nodes.map((node) => node.httpUrl).join('  ')],
    ['Metrics', `${url}/metrics`],
    ['Database', databaseOf(started)],
    ['Logs', path.join(folder, 'logs', 'node-*.log')],
    ['Try it', `curl -s ${url}/tasks -H 'content-type: application/json' -d '${task}'`],
    ['', `curl -s '${url}/tasks/first?wait=10s'`],
    [
      'Failover',
      `kill -9 ${String(leader?.pid ?? '')} && sleep 1 && curl -s ${other?.httpUrl ?? ''}/cluster`,
    ],
    ['Stop', 'Ctrl-C (finishes or hands back what runs, keeps the data)'],
  ];
  return rows.map(([label, text]) => `  ${bold(label.padEnd(10), isColoured)}${text}`).join('\n');
}

function databaseOf(started: Started): string {
  const { embedded } = started;
  if (embedded === undefined) return 'PostgreSQL of your own';
  const home = displayed(embedded.home);
  return `embedded PostgreSQL ${embedded.version}, data kept in ${home} (remove it to start anew)`;
}

function displayed(folder: string): string {
  const relative = path.relative(process.cwd(), folder);
  return relative.startsWith('..') || relative === '' ? folder : relative;
}

function bold(text: string, isColoured: boolean): string {
  return isColoured ? styleText('bold', text) : text;
}

/** A line of a node's log for the terminal: undefined for what is not worth a look. */
export function notableLine(name: string, line: string, verbose: boolean): string | undefined {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch {
    // No line of our log: a crash of the process itself says it this way.
    return line.trim() === '' ? undefined : `${name}  ${escaped(line)}`;
  }
  const { timestamp, level, message, ...fields } = record;
  if (!verbose && level === 'debug') return undefined;
  const time = typeof timestamp === 'string' ? timestamp.slice(11, 23) : '';
  const mark = level === 'info' || level === 'debug' ? '' : `${String(level).toUpperCase()} `;
  const rest = Object.entries(fields)
    .filter(([key, value]) => verbose || !(HIDDEN.has(key) || value === name))
    .map(([key, value]) => ` ${key}=${shown(value, verbose)}`);
  return escaped(`${time} ${name}  ${mark}${String(message)}${rest.join('').slice(0, FIELDS_MAX)}`);
}

/** The stack of an error is in the log file. */
function shown(value: unknown, verbose: boolean): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null || verbose) return JSON.stringify(value);
  return 'message' in value ? String(value.message) : JSON.stringify(value);
}

/** For machines; the name of the node stands at the head of the line already. */
const HIDDEN: ReadonlySet<string> = new Set(['node_id', 'incarnation', 'version']);
const FIELDS_MAX = 400;
