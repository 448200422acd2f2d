import { networkInterfaces, hostname } from 'node:os';
import { isLoopback } from './base/loopback.ts';

/**
 * How far a node's REST face is open, and what guards it. On a loopback address nobody needs a key: who
 * can reach it is on this machine already. On any other, keys are asked for and TLS is a must, by the node
 * or by a proxy in front that somebody has named; without them the node does not start.
 */
export interface Exposure {
  /** Files in PEM; null: plain HTTP. */
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Calls need a key. */
  readonly needsKeys: boolean;
  /** A proxy in front ends TLS: who calls stands in the last entry of X-Forwarded-For. */
  readonly isBehindProxy: boolean;
  /** Somebody has said that other machines may do everything here without a key. */
  readonly isInsecure: boolean;
  /** Names by which clients may call this node, beside its own, in lower case. */
  readonly allowedHosts: readonly string[];
  /** Requests a second of one address that is not loopback; 0 for no limit. */
  readonly rateLimit: number;
}

export interface ExposureGiven {
  readonly httpHost: string;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly behindTlsProxy: boolean;
  readonly requireKeys: boolean;
  readonly insecure: boolean;
  readonly allowedHosts: readonly string[];
  readonly rateLimit: number;
}

export function exposureOf(given: ExposureGiven): Exposure {
  const { tlsCert, tlsKey, behindTlsProxy, httpHost } = given;
  const tls =
    tlsCert === undefined || tlsKey === undefined ? null : { certFile: tlsCert, keyFile: tlsKey };
  const isOpen = !isLoopback(httpHost);
  return {
    tls,
    needsKeys: (isOpen && !given.insecure) || behindTlsProxy || given.requireKeys,
    isBehindProxy: behindTlsProxy,
    isInsecure: isOpen && given.insecure,
    allowedHosts: given.allowedHosts,
    rateLimit: given.rateLimit,
  };
}

/** What must not be started; each fault says how it is meant. */
export function faultsOfExposure(given: ExposureGiven): readonly string[] {
  const { httpHost, tlsCert, tlsKey, behindTlsProxy, insecure } = given;
  const faults: string[] = [];
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    faults.push('--tls-cert and --tls-key: the one needs the other');
  }
  const hasTls = tlsCert !== undefined || tlsKey !== undefined || behindTlsProxy;
  if (!isLoopback(httpHost) && !hasTls && !insecure) {
    faults.push(
      `--http-host: ${httpHost} can be reached from other machines, so it needs TLS: give --tls-cert and ` +
        '--tls-key, or --behind-tls-proxy where a proxy in front of this node ends TLS. Clients then need ' +
        'a key; the first one is made by: skein keys create --role admin --database-url URL',
    );
  }
  return faults;
}

/** Every name by which a client may call a node that listens on `httpHost`: exact, in lower case. */
export function hostNamesOf(
  httpHost: string,
  advertiseHttpUrl: string | null,
  { allowedHosts }: Pick<Exposure, 'allowedHosts'>,
): ReadonlySet<string> {
  const names = new Set(['localhost', '127.0.0.1', '::1', httpHost.toLowerCase(), ...allowedHosts]);
  if (advertiseHttpUrl !== null) names.add(new URL(advertiseHttpUrl).hostname.toLowerCase());
  if (httpHost === '0.0.0.0' || httpHost === '::') {
    names.add(hostname().toLowerCase());
    for (const addresses of Object.values(networkInterfaces())) {
      for (const { address } of addresses ?? []) names.add(address.toLowerCase());
    }
  }
  return new Set([...names].map((name) => name.replace(/^\[|\]$/g, '')));
}
