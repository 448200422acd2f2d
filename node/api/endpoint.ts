import type { IncomingMessage } from 'node:http';
import { ROLES } from '../core/access.ts';
import type { AuditEntry } from '../core/audit.ts';
import type { Caller, Needed } from '../core/access.ts';

/**
 * One call of the contract as a value: what it answers to, and what it does. Reading the body,
 * timing, and turning errors into problem documents is the server's, the same for all.
 */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With parameters in express's way: `/tasks/:id`. */
  readonly path: string;
  /** Who may call it; a server with an endpoint that says nothing does not start. */
  readonly role: Needed;
  /** It shows or changes what all namespaces share: a key of a single one is refused. */
  readonly isForAll?: true;
  /** It adds tasks: its row in the audit log is written with them. */
  readonly isSubmit?: true;
  /** `own`: the call judges its query itself · `any`: monitors may add to it what they like; else none. */
  readonly query?: 'own' | 'any';
  /** The call says all by its path: a body, unless empty or `{}`, is a mistake. */
  readonly isBodiless?: true;
  handle(request: ApiRequest): Promise<ApiResponse>;
}

export interface ApiRequest {
  /** Percent-decoded. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly message: IncomingMessage;
  readonly caller: Caller;
  /** The call as the audit log has it; a submit hands it on with what it is about. */
  readonly entry: AuditEntry;
  /** More about a change, for its row in the audit log. */
  note(detail: Readonly<Record<string, unknown>>): void;
  /** Aborted when the client is gone or the server stops. */
  readonly signal: AbortSignal;
}

export interface ApiResponse {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text, unless `content-type` among the headers says otherwise. */
  readonly text: string;
  /** Instead of the text: what is no text, or was compressed. */
  readonly bytes?: Buffer;
  /** Instead of the text: sent piece by piece as it comes, until it ends or the request is aborted. */
  readonly stream?: AsyncIterable<string>;
}

export function json(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): ApiResponse {
  return { status, headers, text: JSON.stringify(body) };
}

const NEEDED: ReadonlySet<unknown> = new Set<Needed>([...ROLES, 'open']);

/** Throws for a call that does not say who may make it: its type says so only to those who ask it. */
export function assertRoles(
  endpoints: readonly Pick<Endpoint, 'method' | 'path' | 'role'>[],
): void {
  for (const { method, path, role } of endpoints) {
    if (!NEEDED.has(role)) throw new Error(`${method} ${path} does not say who may call it`);
  }
}
