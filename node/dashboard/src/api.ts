/** Requests of the page to its own node; what it refuses becomes a sentence for people. */
const DEADLINE_MS = 15_000;

export async function call(method: 'GET' | 'POST', path: string, body?: object): Promise<unknown> {
  const response = await fetch(path, {
    method,
    signal: AbortSignal.timeout(DEADLINE_MS),
    ...(body === undefined
      ? {}
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as { readonly detail?: string; readonly title?: string };
  if (response.ok) return answer;
  throw new Error(answer.detail ?? answer.title ?? `the node answered ${String(response.status)}`);
}

export interface Page {
  readonly items: readonly unknown[];
  /** Where the next page is; null at the end. */
  readonly next: string | null;
}

export async function page(path: string): Promise<Page> {
  const response = await fetch(path, { signal: AbortSignal.timeout(DEADLINE_MS) });
  if (!response.ok) throw new Error(`the node answered ${String(response.status)}`);
  const [, next = null] = /<([^>]+)>; rel="next"/.exec(response.headers.get('link') ?? '') ?? [];
  return { items: (await response.json()) as readonly unknown[], next };
}

export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
