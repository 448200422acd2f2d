import type net from 'node:net';
import { Agent, buildConnector } from 'undici';
import {
  forbidden,
  guardedLookup,
  refusedLiteral,
  type AddressGuard,
  type Lookup,
} from './address-guard.ts';

export interface AgentOptions {
  readonly guard: AddressGuard;
  readonly lookup?: Lookup;
  readonly timeoutMs: number;
  readonly headerBytesMax: number;
}

/** The connections of one task: each is made to an address that the guard has let through. */
export function openAgent({ guard, lookup, timeoutMs, headerBytesMax }: AgentOptions): Agent {
  const connect = buildConnector({
    timeout: timeoutMs,
    ...{ lookup: guardedLookup(guard, lookup) },
  });
  return new Agent({
    pipelining: 1,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxHeaderSize: headerBytesMax,
    connect: (options, callback) => {
      const refused = refusedLiteral(guard, options.hostname);
      if (refused !== undefined) {
        callback(refused, null);
        return;
      }
      connect(options, (...[error, socket]) => {
        if (error !== null) {
          callback(error, null);
          return;
        }
        const reached = refusedPeer(guard, options.hostname, socket);
        if (reached === undefined) {
          callback(null, socket);
          return;
        }
        socket.destroy();
        callback(reached, null);
      });
    },
  });
}

/** The last word has the address at the other end, whatever was looked up. */
function refusedPeer(guard: AddressGuard, host: string, socket: net.Socket): Error | undefined {
  const { remoteAddress = '' } = socket;
  if (guard.allowsHost(host) || guard.allowsAddress(remoteAddress)) return undefined;
  return forbidden(host, remoteAddress);
}
