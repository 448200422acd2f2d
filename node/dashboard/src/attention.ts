import type { Counts, NodeRow } from './bodies.ts';
import { count, plural } from './format.ts';
import { linkTo } from './route.ts';

/** What needs somebody, as sentences with the place where it can be dealt with. */
export interface Concern {
  readonly text: string;
  /** Where one acts, and what one does there. */
  readonly href: string;
  readonly act: string;
  /** Nothing goes on, or only something waits. */
  readonly isGrave: boolean;
}

/** As the node tells it; an older one tells none of it. */
export interface Attention {
  readonly types?: readonly {
    readonly type: string;
    readonly reason: string;
    readonly queued: number;
  }[];
  readonly lost?: readonly { readonly id: string; readonly losses: number }[];
  readonly overdue?: readonly { readonly id: string; readonly node: string }[];
  readonly quarantined?: readonly { readonly id: string }[];
  readonly expired_leases?: readonly { readonly node: string; readonly running: number }[];
  readonly schedules?: readonly { readonly id: string; readonly problem: unknown }[];
}

export interface Situation {
  readonly leader: unknown;
  readonly counts: Counts;
  readonly nodes: readonly NodeRow[];
  readonly attention: Attention;
  readonly fault: string | null;
  readonly nowMs: number;
}

const QUIET_MS = 10_000;

export function concernsOf(situation: Situation): readonly Concern[] {
  const { leader, counts, attention, fault } = situation;
  const concerns: Concern[] = [];
  const add = (isGrave: boolean, text: string, act: string, href: string): void => {
    concerns.push({ isGrave, text, act, href });
  };
  if (fault !== null)
    add(true, `The cluster cannot be read: ${fault}.`, 'Events', linkTo('events'));
  if (leader === null) {
    add(true, 'Nobody leads: what runs goes on, nothing new starts.', 'Nodes', linkTo('nodes'));
  }
  for (const { isGrave, text } of nodeConcerns(situation)) {
    add(isGrave, text, 'Nodes', linkTo('nodes'));
  }
  for (const { type, reason, queued } of attention.types ?? []) {
    const tasks = plural(queued, 'task');
    if (reason === 'paused') {
      add(false, `${tasks} wait for the paused type ${type}.`, 'Resume it', linkTo('types'));
    } else {
      const waiting = linkTo('tasks', '', { type, status: 'QUEUED' });
      add(true, `${tasks} wait for ${type}, which no living node runs.`, 'Show them', waiting);
    }
  }
  const failed = counts['FAILED'] ?? 0;
  if (failed > 0) {
    const text = `${count(failed)} ${failed === 1 ? 'task has' : 'tasks have'} FAILED.`;
    add(false, text, 'Look and retry', linkTo('tasks', '', { status: 'FAILED' }));
  }
  for (const { id } of attention.quarantined ?? []) {
    add(
      true,
      `${id} is in quarantine: its process died again and again.`,
      'Why',
      linkTo('task', id),
    );
  }
  for (const { id, node } of attention.overdue ?? []) {
    add(false, `${id} runs on ${node} for far longer than expected.`, 'Look', linkTo('task', id));
  }
  for (const { id, losses } of attention.lost ?? []) {
    add(false, `${id} has lost its node ${plural(losses, 'time')}.`, 'Look', linkTo('task', id));
  }
  for (const { id } of attention.schedules ?? []) {
    add(false, `The schedule ${id} could not submit.`, 'Why', linkTo('schedules'));
  }
  return concerns.toSorted((a, b) => Number(b.isGrave) - Number(a.isGrave));
}

function nodeConcerns({ nodes, nowMs, attention }: Situation): readonly {
  readonly isGrave: boolean;
  readonly text: string;
}[] {
  const concerns: { isGrave: boolean; text: string }[] = [];
  const expired = new Map(attention.expired_leases?.map(({ node, running }) => [node, running]));
  for (const node of nodes) {
    const silentMs = nowMs - Date.parse(node.last_heartbeat_at);
    const held = expired.get(node.name) ?? node.running;
    if (node.state === 'lost') {
      const tasks = held > 0 ? `, with ${plural(held, 'task')} still to take back` : '';
      concerns.push({ isGrave: true, text: `${node.name} is lost${tasks}.` });
    } else if (node.state === 'dead') {
      concerns.push({ isGrave: false, text: `${node.name} is dead.` });
    } else if (node.state === 'alive' && silentMs > QUIET_MS) {
      concerns.push({ isGrave: false, text: `${node.name} has not been heard lately.` });
    }
  }
  return concerns;
}
