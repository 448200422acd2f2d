import { askForKey, credentials } from './session.ts';

/** Requests of the page to its own node; what it refuses becomes a sentence for people. */
const DEADLINE_MS = 15_000;

export interface Fault {
  /** Where in the body: `#/tasks/3/priority`. */
  readonly pointer: string;
  readonly detail: string;
}

/** What a node refused, with each fault by its place in what was sent. */
export class Refusal extends Error {
  readonly status: number;
  readonly faults: readonly Fault[];

  constructor(message: string, status: number, faults: readonly Fault[]) {
    super(message);
    this.status = status;
    this.faults = faults;
  }
}

interface Problem {
  readonly detail?: string;
  readonly title?: string;
  readonly errors?: readonly Fault[];
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export async function call(method: Method, path: string, body?: unknown): Promise<unknown> {
  const response = await request(method, path, body);
  return response.json();
}

export async function request(
  method: Method,
  path: string,
  body?: unknown,
  signal: AbortSignal = AbortSignal.timeout(DEADLINE_MS),
): Promise<Response> {
  const response = await fetch(path, {
    method,
    signal,
    headers: {
      ...credentials(),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (response.ok) return response;
  if (response.status === 401) askForKey();
  // A proxy in between may answer something else than JSON.
  const said = (await response.json().catch(() => ({}))) as Problem;
  const sentence = said.detail ?? said.title ?? `the node answered ${String(response.status)}`;
  throw new Refusal(sentence, response.status, said.errors ?? []);
}

export interface Page {
  readonly items: readonly unknown[];
  /** Where the next page is; null at the end. */
  readonly next: string | null;
}

export async function page(path: string): Promise<Page> {
  const response = await request('GET', path);
  const [, next = null] = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '') ?? [];
  return { items: (await response.json()) as readonly unknown[], next };
}

export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The path of one thing, whose id may hold anything. */
export function pathOf(kind: string, id: string, verb = ''): string {
  return `/${kind}/${encodeURIComponent(id)}${verb === '' ? '' : `/${verb}`}`;
}
