import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { guard } from '../support/guard.ts';
import type { Guard } from '../support/guard.ts';
import type { Site } from '../support/node-proxies.ts';

/**
 * A network namespace with one cable to this machine, for a node whose link can be pulled: what no
 * proxy can play, because the kernel on both sides sees it. Needs root and `ip`.
 *
 * The proxies listen on an address of loopback, which stays when the link goes.
 */
export interface Link {
  readonly site: Site;
  readonly proxyHost: string;
  pull(): Promise<void>;
  plug(): Promise<void>;
  remove(): Promise<void>;
}

const run = promisify(execFile);
const COMMAND_MS = 10_000;

const REMOVE = `
  ip netns delete "$1" 2>/dev/null
  ip link delete "$2" 2>/dev/null
  ip route delete unreachable "$4" metric 4000 2>/dev/null
  ip address delete "$3/32" dev lo 2>/dev/null`;

/** A link, or the reason why there is none. */
export async function createLink(): Promise<Link | { readonly missing: string }> {
  if (process.platform !== 'linux') return { missing: 'network namespaces need Linux' };
  if (process.getuid?.() !== 0) return { missing: 'network namespaces need root' };
  // Runs at the same time on one machine stay apart.
  const number = process.pid % 250;
  const name = `skein-${String(process.pid)}`;
  const cable = `sk${String(process.pid)}`;
  const [here, there, proxyHost] = [1, 2, 254].map(
    (last) => `10.231.${String(number)}.${String(last)}`,
  );
  const network = `10.231.${String(number)}.0/30`;
  if (here === undefined || there === undefined || proxyHost === undefined)
    throw new Error('no ip');
  const watch = guard(REMOVE, [name, cable, proxyHost, network]);
  try {
    await ip('netns', 'add', name);
    await ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    await ip('address', 'add', `${here}/30`, 'dev', cable);
    await ip('address', 'add', `${proxyHost}/32`, 'dev', 'lo');
    await ip('link', 'set', cable, 'up');
    // Without it, what is meant for the node leaves by another way while its link is down.
    await ip('route', 'add', 'unreachable', network, 'metric', '4000');
    await ip('-n', name, 'address', 'add', `${there}/30`, 'dev', 'eth0');
    await ip('-n', name, 'link', 'set', 'eth0', 'up');
    await ip('-n', name, 'link', 'set', 'lo', 'up');
    await ip('-n', name, 'route', 'add', 'default', 'via', here);
  } catch (error) {
    await remove([name, cable, proxyHost, network], watch);
    return { missing: `no network namespace could be made: ${messageOf(error)}` };
  }
  return {
    site: { host: there, command: ['ip', 'netns', 'exec', name] },
    proxyHost,
    pull: () => ip('link', 'set', cable, 'down'),
    plug: () => ip('link', 'set', cable, 'up'),
    remove: () => remove([name, cable, proxyHost, network], watch),
  };
}

async function ip(...args: readonly string[]): Promise<void> {
  await run('ip', args, { timeout: COMMAND_MS });
}

async function remove(parts: readonly string[], watch: Guard): Promise<void> {
  await run('/bin/sh', ['-c', `${REMOVE}\ntrue`, 'sh', ...parts], { timeout: COMMAND_MS });
  watch.takeBack();
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n').join(' ').trim();
}
