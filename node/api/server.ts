import type { IncomingMessage, ServerResponse } from 'node:http';
import express from 'express';
import type { NextFunction, Request, Response } from 'express';
import type { Clock } from '../base/clock.ts';
import { errors, toError } from '../base/errors.ts';
import { uuidv7 } from '../base/uuid.ts';
import { auditEndpoints, Auditor } from './access/auditor.ts';
import { BodyBudget, refuseBody } from './body.ts';
import { bulkEndpoints } from './bulk.ts';
import { clusterEndpoints } from './cluster.ts';
import { docsEndpoints } from './docs.ts';
import { Door } from './access/door.ts';
import type { DoorSettings } from './access/door.ts';
import { assertRoles } from './endpoint.ts';
import type { ApiResponse, Endpoint } from './endpoint.ts';
import { keyEndpoints } from './access/keys.ts';
import { Listener } from './listener.ts';
import type { TlsFiles } from './listener.ts';
import { LiveServer } from './live/server.ts';
import { pageEndpoints } from './page.ts';
import { sendStream } from './send-stream.ts';
import { logEndpoints } from './logs.ts';
import type {
  AttentionPort,
  AuditPort,
  ClusterReaderPort,
  FeedPort,
  KeysPort,
  LeaderPort,
  LogPort,
  LogReaderPort,
  MetricsPort,
  NodeControlPort,
  Readiness,
  SchedulesPort,
  SubmissionsPort,
  BulkChangesPort,
  TaskChangesPort,
  TaskReaderPort,
  TypeControlPort,
  WorkflowReaderPort,
} from './ports.ts';
import { problem, refusals, toAppError } from './problem.ts';
import { scheduleEndpoints } from './schedules.ts';
import { Query } from './query.ts';
import { submitEndpoints } from './submit/submit.ts';
import { taskEndpoints } from './tasks.ts';
import { typeEndpoints } from './types.ts';
import { Waiter } from './waiter.ts';
import { workflowEndpoints } from './workflows.ts';

/**
 * The REST face of a node. Every node has the whole of it, and needs no leader for it: submits go
 * into PostgreSQL and reads come from there. The leader hears of a submit by a hint.
 *
 *   request → route → endpoint.handle → store → response
 *                        └ throws AppError → problem document (RFC 9457)
 *
 * One wrapper, `#serve`, does for every endpoint what is the same for all: it names the request
 * (X-Request-Id), times it, turns what was thrown into a problem, and counts it. An endpoint reads its
 * own body, because a bulk submit streams it and the others bound it.
 *
 * Failures. Without PostgreSQL everything but /healthz, /readyz, /leader and /metrics answers 503
 * with Retry-After, within the deadline of the store and never later. Overload is refused with 429:
 * too many bodies in memory, too many waiting requests, too long a queue for the database. A client
 * that sends slowly, or nothing, is cut off by the timeouts of the server.
 *
 * What it does not promise: that a client which got no answer was not served. A submit is safe to
 * repeat with the same id: 409 says that it is there, and `same_body` that it is the same.
 */
export interface ApiDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly leader: LeaderPort;
  readonly feed: FeedPort;
  readonly readiness: () => Readiness;
  readonly metrics: MetricsPort;
  readonly submissions: SubmissionsPort;
  readonly tasks: TaskReaderPort;
  readonly logs: LogReaderPort;
  readonly changes: TaskChangesPort;
  readonly bulk: BulkChangesPort;
  readonly workflows: WorkflowReaderPort;
  readonly schedules: SchedulesPort;
  readonly cluster: ClusterReaderPort;
  readonly nodes: NodeControlPort;
  readonly attention: AttentionPort;
  readonly types: TypeControlPort;
  readonly keys: KeysPort;
  readonly audit: AuditPort;
  /** Days that the audit log keeps what was changed. */
  readonly auditDays: number;
  readonly door: DoorSettings;
  readonly tls: TlsFiles | null;
  /** The folder with the built page; undefined where a node serves none. */
  readonly pageDir?: string;
  /** The same of the page at `/docs`. */
  readonly docsDir?: string;
  /** Of the build, for the document at `/openapi.json`. */
  readonly version?: string;
  readonly limits?: Partial<ApiLimits>;
}

export interface ApiLimits {
  readonly connectionsMax: number;
  /** Of one address that is not loopback, and no proxy's. */
  readonly connectionsPerAddressMax: number;
  /** How long `stop` lets running requests finish. */
  readonly graceMs: number;
  readonly waitersMax: number;
  /** Clients of `/ws` at a time. */
  readonly liveClientsMax: number;
  /** Bytes of bodies in memory at once. */
  readonly bodyBytesMax: number;
}

const LIMITS: ApiLimits = {
  connectionsMax: 1024,
  connectionsPerAddressMax: 256,
  graceMs: 10_000,
  waitersMax: 10_000,
  liveClientsMax: 512,
  bodyBytesMax: 512 * 1024 * 1024,
};
/** A refused body is read off the socket for so long, so that the client gets to read the refusal. */
const DISCARD_MS = 10_000;
/** What a browser must not do with an answer; a page says for itself what it may. */
const GUARDS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};
const HSTS = { 'strict-transport-security': 'max-age=31536000' };
const REQUEST_ID = /^[\w.:-]{1,128}$/;

export class ApiServer {
  readonly #deps: ApiDeps;
  readonly #limits: ApiLimits;
  readonly #waiter: Waiter;
  readonly #live: LiveServer;
  readonly #app: express.Express;
  readonly #door: Door;
  readonly #auditor: Auditor;
  readonly #listener: Listener;
  /** All and only the calls that there are: tests look whether each has been thought of. */
  readonly endpoints: readonly Endpoint[];
  /** All and only the responses that are sent as they come. */
  readonly #streams = new Set<ServerResponse>();
  #stopping = false;
  #active = 0;
  #onIdle: (() => void) | null = null;

  constructor(deps: ApiDeps) {
    this.#deps = deps;
    this.#limits = { ...LIMITS, ...deps.limits };
    const { waitersMax, bodyBytesMax, liveClientsMax } = this.#limits;
    this.#door = new Door(deps);
    this.#auditor = new Auditor(deps);
    this.#waiter = new Waiter({ ...deps, waitersMax });
    this.#live = new LiveServer({ ...deps, door: this.#door, clientsMax: liveClientsMax });
    const shared = { ...deps, waiter: this.#waiter, budget: new BodyBudget(bodyBytesMax) };
    this.endpoints = [
      ...submitEndpoints(shared),
      ...bulkEndpoints(shared),
      ...taskEndpoints(shared),
      ...logEndpoints(shared),
      ...workflowEndpoints(shared),
      ...typeEndpoints(shared),
      ...scheduleEndpoints(shared),
      ...clusterEndpoints(shared),
      ...pageEndpoints(deps.pageDir, () => this.#live.peers()),
      ...docsEndpoints({
        routes: () => this.routes,
        version: deps.version ?? '',
        docsDir: deps.docsDir,
      }),
      ...keyEndpoints(shared),
      ...auditEndpoints(deps),
    ];
    this.#app = this.#route(this.endpoints);
    const isProxied = deps.door.isBehindProxy;
    this.#listener = new Listener(
      { ...deps, ...this.#limits, ...(isProxied ? { connectionsPerAddressMax: Infinity } : {}) },
      this.#app,
    );
    this.#live.attach(this.#listener.server);
  }

  /** Every route that the router has now, as `GET /tasks/:id`. */
  get routes(): readonly string[] {
    return routesOf(this.#app);
  }

  /** Throws the error of the system where the address cannot be listened on. */
  start(): Promise<{ readonly port: number }> {
    return this.#listener.start();
  }

  /** Takes no new requests, answers those that wait, and cuts off what is not done in `graceMs`. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#waiter.stop();
    const parted = this.#live.stop();
    for (const response of this.#streams) response.destroy();
    const closed = this.#listener.close();
    if (this.#active > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        this.#deps.clock.after(this.#limits.graceMs, resolve);
      });
    }
    this.#listener.server.closeAllConnections();
    await parted;
    await closed;
  }

  #route(endpoints: readonly Endpoint[]): express.Express {
    const app = express();
    app.disable('x-powered-by');
    app.disable('etag');
    app.set('query parser', false);
    assertRoles(endpoints);
    const methods = new Map<string, string[]>();
    for (const endpoint of endpoints) {
      const { method, path } = endpoint;
      methods.set(path, [
        ...(methods.get(path) ?? []),
        ...(method === 'GET' ? ['HEAD'] : []),
        method,
      ]);
      const serve = (request: Request, response: Response): Promise<void> =>
        this.#serve(request, response, routeOf(path), (requestId) =>
          this.#handle(endpoint, request, response, requestId),
        );
      if (method === 'GET') app.get(path, serve);
      else if (method === 'POST') app.post(path, serve);
      else if (method === 'PUT') app.put(path, serve);
      else if (method === 'DELETE') app.delete(path, serve);
      else app.patch(path, serve);
    }
    for (const [path, allowed] of methods) {
      app.all(path, (request, response) =>
        this.#serve(request, response, routeOf(path), () => {
          response.setHeader('allow', [...allowed].sort().join(', '));
          throw refusals.notAllowed(request.method);
        }),
      );
    }
    app.use((request, response) =>
      this.#serve(request, response, 'other', () => {
        throw refusals.noRoute(request.path);
      }),
    );
    // Express knows an error handler by its four parameters; what comes here is a path it refused.
    app.use((thrown: unknown, request: Request, response: Response, next: NextFunction) => {
      if (response.headersSent) next(thrown);
      else {
        void this.#serve(request, response, 'other', () => {
          throw toError(thrown);
        });
      }
    });
    return app;
  }

  async #handle(
    endpoint: Endpoint,
    request: Request,
    response: Response,
    requestId: string,
  ): Promise<ApiResponse> {
    if (this.#stopping) throw errors.stopping();
    const gone = new AbortController();
    response.once('close', () => {
      gone.abort();
    });
    const caller = await this.#door.admit(request, endpoint.role, endpoint);
    const query = new URL(request.url, 'http://node').searchParams;
    if (endpoint.query === undefined) new Query(query, []).throwIfAny();
    if (endpoint.isBodiless === true) await refuseBody(request);
    const params = request.params as Record<string, string>;
    const from = { caller, address: this.#door.addressOf(request), requestId, params };
    return this.#auditor.around(endpoint, from, (entry, note) =>
      endpoint.handle({
        params,
        query,
        message: request,
        caller,
        entry,
        note,
        signal: gone.signal,
      }),
    );
  }

  async #serve(
    request: Request,
    response: Response,
    route: string,
    answer: (requestId: string) => Promise<ApiResponse>,
  ): Promise<void> {
    const startedMs = this.#deps.clock.monotonicMs();
    const requestId = requestIdOf(request);
    this.#active += 1;
    try {
      let result: ApiResponse;
      try {
        this.#door.check(request);
        result = await answer(requestId);
      } catch (thrown) {
        result = this.#refusal(thrown, request, requestId);
      }
      if (!response.destroyed) await this.#send(request, response, result, requestId);
      const seconds = (this.#deps.clock.monotonicMs() - startedMs) / 1000;
      this.#deps.metrics.httpRequest(request.method, route, result.status, seconds);
    } finally {
      this.#active -= 1;
      if (this.#active === 0) this.#onIdle?.();
    }
  }

  #refusal(thrown: unknown, request: Request, requestId: string): ApiResponse {
    const error = toAppError(thrown);
    const fields = { request_id: requestId, method: request.method, code: error.code };
    // A client that left in the middle of its body is no error of ours.
    // (One whose body was read to its end is destroyed too.)
    if (error.httpStatus === 500 && (request.complete || !request.destroyed)) {
      this.#deps.log.error('a request failed unexpectedly', {
        ...fields,
        error: toError(error.cause).stack,
      });
    } else if (error.httpStatus === 503) {
      const cause = error.cause === undefined ? undefined : toError(error.cause).message;
      this.#deps.log.warn('a request could not be served', { ...fields, cause });
    } else {
      this.#deps.log.info('a request was refused', fields);
    }
    return problem(error, requestId);
  }

  /** Resolves when the response is handed to the system, or its client is gone. */
  async #send(
    request: IncomingMessage,
    response: ServerResponse,
    { status, headers, text, bytes, stream }: ApiResponse,
    requestId: string,
  ): Promise<void> {
    const body = bytes ?? Buffer.from(text);
    response.writeHead(status, {
      'content-type': 'application/json',
      ...(stream === undefined ? { 'content-length': body.length } : {}),
      ...GUARDS,
      ...(this.#deps.tls === null ? {} : HSTS),
      'x-request-id': requestId,
      ...(this.#stopping ? { connection: 'close' } : {}),
      ...headers,
    });
    if (!request.complete) this.#discard(request);
    if (stream !== undefined) {
      this.#streams.add(response);
      await sendStream(response, request.method === 'HEAD' ? [] : stream, this.#deps.log);
      this.#streams.delete(response);
      return;
    }
    await new Promise<void>((resolve) => {
      response.once('close', resolve);
      response.end(body, resolve);
    });
  }

  #discard(request: IncomingMessage): void {
    const cancel = this.#deps.clock.after(DISCARD_MS, () => {
      request.socket.destroy();
    });
    request.once('close', cancel);
    request.resume();
  }
}

/** What the router itself knows; the catch-all of each path, which has every method, is left out. */
function routesOf(app: express.Express): readonly string[] {
  return app.router.stack.flatMap(({ route }) => {
    if (route?.stack.length !== 1) return [];
    return route.stack.map(({ method }) => `${method.toUpperCase()} ${route.path}`);
  });
}

/** `/tasks/:id` as `/tasks/{id}`, the way metrics and documents write it. */
function routeOf(path: string): string {
  return path.replace(/:(\w+)/g, '{$1}');
}

function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : uuidv7();
}
