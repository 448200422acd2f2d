import { lookup as systemLookup } from 'node:dns';
import net from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Which addresses an `http` task may connect to: what the public internet routes, and what the operator
 * has allowed by `--http-allow`. Anything else is refused: this machine, private networks, link-local
 * addresses (where clouds keep their metadata), carrier-grade NAT, and every form of IPv6 that carries
 * an IPv4 address inside it.
 *
 * The judgement is made inside the lookup of the very connection, on the addresses that it will use: a
 * name that answers with a public address first and a private one later (DNS rebinding) gains nothing,
 * and neither does a redirect, because each connection is made by way of here.
 */
export interface AddressGuard {
  /** Whether any address of a host of this name may be connected to. */
  allowsHost(host: string): boolean;
  /** Whether this very address may be connected to. */
  allowsAddress(address: string): boolean;
}

/** The form of node:dns.lookup, which net.connect and tls.connect take. */
export type Lookup = net.LookupFunction;

/** The code of an error which says that an address is refused: connecting again will not help. */
export const FORBIDDEN_ADDRESS = 'http_forbidden_address';

/** What routes in the public internet and yet is the inside of a cloud. */
const METADATA = new Set(['168.63.129.16']);
/** All that is global unicast today; the rest of IPv6 is reserved. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

export function createAddressGuard(allowed: readonly string[]): AddressGuard {
  const hosts = new Set<string>();
  const ranges: (readonly [ipaddr.IPv4 | ipaddr.IPv6, number])[] = [];
  for (const one of allowed) {
    const range = rangeOf(one);
    if (range === undefined) hosts.add(one.toLowerCase());
    else ranges.push(range);
  }
  return {
    allowsHost: (host) => hosts.has(host.toLowerCase().replace(/\.$/, '')),
    allowsAddress: (text) => {
      if (!ipaddr.isValid(text)) return false;
      const address = ipaddr.process(text);
      const isAllowed = ranges.some(
        ([base, bits]) => base.kind() === address.kind() && address.match(base, bits),
      );
      return isAllowed || isPublic(address);
    },
  };
}

/** The entries of a list that are neither a host, nor an address, nor a CIDR range. */
export function faultsOfAllowList(allowed: readonly string[]): readonly string[] {
  return allowed.filter(
    (one) => rangeOf(one) === undefined && !/^[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9_])?$/i.test(one),
  );
}

/** A lookup that answers only what the guard lets through, and fails where nothing is left. */
export function guardedLookup(guard: AddressGuard, lookup: Lookup = systemLookup): Lookup {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, [], 0);
        return;
      }
      const all = typeof found === 'string' ? [{ address: found, family: 4 }] : found;
      const open = guard.allowsHost(host)
        ? all
        : all.filter(({ address }) => guard.allowsAddress(address));
      const [first] = open;
      if (first === undefined) {
        callback(forbidden(host, all.map(({ address }) => address).join(', ')), [], 0);
      } else if (options.all === true) callback(null, open);
      else callback(null, first.address, first.family);
    });
  };
}

/** Of an address that stands in the URL itself, which is never looked up. */
export function refusedLiteral(guard: AddressGuard, host: string): Error | undefined {
  const bare = host.replace(/^\[|\]$/g, '');
  if (net.isIP(bare) === 0 || guard.allowsHost(bare) || guard.allowsAddress(bare)) return undefined;
  return forbidden(bare, bare);
}

export function forbidden(host: string, address: string): Error {
  const what = host === address ? host : `${host} (${address === '' ? 'no address' : address})`;
  const message = `tasks may not connect to ${what}; --http-allow allows more`;
  return Object.assign(new Error(message), { code: FORBIDDEN_ADDRESS });
}

function isPublic(address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  if (address.range() !== 'unicast' || METADATA.has(address.toString())) return false;
  return address.kind() === 'ipv4' || address.match(GLOBAL_UNICAST);
}

/** undefined for what is no address and no range of them. */
function rangeOf(text: string): readonly [ipaddr.IPv4 | ipaddr.IPv6, number] | undefined {
  if (ipaddr.isValidCIDR(text)) return ipaddr.parseCIDR(text);
  if (net.isIP(text) === 0) return undefined;
  const address = ipaddr.process(text);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}
