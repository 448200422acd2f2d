import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../base/clock.ts';
import { errors } from '../../base/errors.ts';
import { isLoopback } from '../../base/loopback.ts';
import { LOCAL_CALLER, mayDo } from '../../core/access.ts';
import type { Caller, Needed } from '../../core/access.ts';
import { bearerOf, Keyring } from './keyring.ts';
import type { KeysPort, LogPort } from '../ports.ts';
import { refusals } from '../problem.ts';
import { RateLimiter } from './rate-limiter.ts';

/**
 * The door of a node's REST face and of `/ws`: who may come in at all. Everything passes it, in this order:
 *
 *   1. Host. It must be one of the names of this node, exactly. A page of a foreign site whose name was
 *      made to point at 127.0.0.1 (DNS rebinding) still says the foreign name.
 *   2. Origin, where a browser says one and the call may change something, or is an upgrade. It must be the
 *      page of this node. A browser lets no foreign page read an answer: CORS is off.
 *   3. Rate, by address; none for loopback.
 *   4. Key and role. On loopback nobody needs a key, unless it was said that one is needed; a key that is
 *      given is checked all the same, and its role holds.
 *
 * What it does not promise: to tell users of one machine apart on a loopback address without keys.
 */
export interface DoorSettings {
  readonly needsKeys: boolean;
  readonly isBehindProxy: boolean;
  /** Names and addresses of this node, in lower case, without ports and brackets. */
  readonly hostNames: ReadonlySet<string>;
  /** Those of them that somebody has named: a proxy may call this node by another than the browser does. */
  readonly allowedHosts: readonly string[];
  /** Requests a second of one address; 0 for no limit. */
  readonly rateLimit: number;
}

export interface DoorDeps {
  readonly clock: Clock;
  readonly log: LogPort;
  readonly keys: KeysPort;
  readonly door: DoorSettings;
}

const HEADERS_MAX = 100;
/** What a call costs that comes with a wrong key, beside one that comes with a right one. */
const WRONG_KEY_TOKENS = 25;
/** Headers by which a proxy says that it is one. */
const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip'];
/** A browser cannot set headers of a WebSocket: its key comes as a subprotocol beside this one. */
export const LIVE_PROTOCOL = 'skein';
const KEY_PROTOCOL = 'skein.key.';

export class Door {
  readonly #settings: DoorSettings;
  readonly #keyring: Keyring;
  readonly #limiter: RateLimiter | null;

  constructor({ clock, log, keys, door }: DoorDeps) {
    this.#settings = door;
    this.#keyring = new Keyring({ clock, log, keys });
    this.#limiter = door.rateLimit === 0 ? null : new RateLimiter(clock, door.rateLimit);
  }

  /** Throws for who must not even be answered 404. */
  check(request: IncomingMessage, isUpgrade = false): void {
    if (request.rawHeaders.length > 2 * HEADERS_MAX) throw refusals.tooManyHeaders(HEADERS_MAX);
    const { host, origin } = request.headers;
    if (!this.#settings.hostNames.has(nameOf(host))) {
      throw errors.forbidden(
        'this node does not go by the name in the Host header; --allowed-hosts adds names',
      );
    }
    const mayChange = request.method !== 'GET' && request.method !== 'HEAD';
    if (mayChange || isUpgrade) {
      const isForeign = origin !== undefined && !this.#isOwnOrigin(origin, host);
      if (isForeign || request.headers['sec-fetch-site'] === 'cross-site') {
        throw errors.forbidden('a page of another site may not do this');
      }
    }
    this.#pay(request, 1);
  }

  /** Who calls, if they may do what is needed. Throws `unauthenticated` and `forbidden`. */
  async admit(
    request: IncomingMessage,
    needed: Needed,
    { isForAll }: { readonly isForAll?: boolean | undefined } = {},
  ): Promise<Caller> {
    if (needed === 'open') return NOBODY;
    const caller = await this.#callerOf(request);
    if (!mayDo(caller.role, needed)) {
      throw errors.forbidden(
        `this needs the role ${needed}; the key ${caller.name} has ${caller.role}`,
      );
    }
    if (isForAll === true && caller.namespaceId !== null) {
      throw errors.forbidden(
        `this concerns all namespaces, and the key ${caller.name} is for one: --namespace '*' makes others`,
      );
    }
    return caller;
  }

  /** The address that a call comes from, for limits and for the audit log. */
  addressOf(request: IncomingMessage): string {
    const forwarded = request.headers['x-forwarded-for'];
    if (this.#settings.isBehindProxy && typeof forwarded === 'string') {
      // The last entry is the one that the proxy itself has added.
      return forwarded.split(',').at(-1)?.trim().slice(0, 64) ?? '';
    }
    return request.socket.remoteAddress ?? '';
  }

  async #callerOf(request: IncomingMessage): Promise<Caller> {
    const key = bearerOf(request.headers.authorization) ?? keyOfProtocols(request);
    if (key === null) {
      if (this.#settings.needsKeys) throw errors.unauthenticated(HOW_TO_SAY_IT);
      if (FORWARDED.some((header) => request.headers[header] !== undefined)) {
        throw errors.unauthenticated(
          'a proxy has forwarded this to a node that asks for no keys; start it with --behind-tls-proxy',
        );
      }
      return LOCAL_CALLER;
    }
    const caller = await this.#keyring.callerOf(key);
    if (caller !== null) return caller;
    this.#pay(request, WRONG_KEY_TOKENS);
    throw errors.unauthenticated('this key is not known, has expired or was revoked');
  }

  #isOwnOrigin(origin: string, host: string | undefined): boolean {
    if (!URL.canParse(origin)) return false;
    const { host: from, hostname } = new URL(origin);
    const bare = hostname.replace(/^\[|\]$/g, '').toLowerCase();
    return from === host?.toLowerCase() || this.#settings.allowedHosts.includes(bare);
  }

  #pay(request: IncomingMessage, tokens: number): void {
    if (this.#limiter === null) return;
    const address = this.addressOf(request);
    // A proxy on this machine that does not say for whom it asks counts as one address.
    if (!this.#settings.isBehindProxy && isLoopback(address)) return;
    if (!this.#limiter.tryTake(address, tokens)) {
      throw errors.overloaded('too many requests of one address; --rate-limit says how many');
    }
  }
}

/** Whoever calls what everybody may: nothing is known of them, and no namespace is theirs. */
const NOBODY: Caller = { name: 'anybody', role: 'read', namespaceId: 0, keyId: null };

const HOW_TO_SAY_IT =
  'this needs a key, in the header `Authorization: Bearer skein_…`; skein keys create makes one';

/** The name out of a Host header; empty where there is none. */
function nameOf(host: string | undefined): string {
  const [, bracketed, plain] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]/@]+))(?::\d{1,5})?$/.exec(host?.toLowerCase() ?? '') ?? [];
  return bracketed ?? plain ?? '';
}

function keyOfProtocols(request: IncomingMessage): string | null {
  const offered = request.headers['sec-websocket-protocol'] ?? '';
  const named = offered.split(',').map((protocol) => protocol.trim());
  return named.find((one) => one.startsWith(KEY_PROTOCOL))?.slice(KEY_PROTOCOL.length) ?? null;
}
