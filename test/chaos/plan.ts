import { Seeded } from './seeded.ts';

/**
 * Which faults come when: drawn from the seed alone, before anything runs. What is left to the moment
 * is who leads; a fault says "the leader", "a follower" or "any node", and a draw decides among these.
 */
export const FAULT_KINDS = [
  'kill',
  'stop',
  'stop-briefly',
  'rolling-restart',
  'terminate-lock-session',
  'terminate-sessions',
  'kill-backend',
  'postgres-fast-restart',
  'postgres-immediate-restart',
  'database-delay',
  'database-silence',
  'database-silence-to-server',
  'database-silence-to-node',
  'database-cut',
  'settle-reply-lost',
  'submit-reply-lost',
  'lease-reply-lost',
  'peer-delay',
  'peer-silence',
  'peer-silence-to-leader',
  'peer-silence-to-followers',
  'peer-cut',
  'link-pulled',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export type Target = 'leader' | 'follower' | 'any';

export interface Fault {
  readonly kind: FaultKind;
  /** From the beginning of the run. */
  readonly atMs: number;
  /** Until it is undone, where it lasts. */
  readonly forMs: number;
  readonly target: Target;
  /** 0 ≤ x < 1: decides among those that the target leaves open. */
  readonly draw: number;
}

export interface PlanOptions {
  readonly seed: number;
  readonly seconds: number;
  readonly leaseMs: number;
  /** Whether a node of a network of its own is there. */
  readonly hasLink: boolean;
}

interface Recipe {
  readonly kind: FaultKind;
  readonly target: Target;
  /** How often it is in the deck. */
  readonly count?: number;
  readonly forMs: readonly [least: number, most: number];
}

const FIRST_MS = 1500;
const GAP_MS = [700, 2600] as const;
/** A run ends with its faults undone. */
const CALM_END_MS = 1000;

/** Each deck is dealt whole before the next is shuffled, so that a run of a minute sees most of it. */
function deckOf({ leaseMs, hasLink }: PlanOptions): readonly Recipe[] {
  const beyondLease = [leaseMs + 700, leaseMs + 1800] as const;
  const short = [300, 2500] as const;
  const recipes: readonly Recipe[] = [
    { kind: 'kill', target: 'leader', count: 3, forMs: [100, 1500] },
    { kind: 'kill', target: 'follower', count: 2, forMs: [100, 1500] },
    { kind: 'stop', target: 'leader', forMs: beyondLease },
    { kind: 'stop', target: 'follower', forMs: beyondLease },
    { kind: 'stop-briefly', target: 'leader', forMs: [900, 2500] },
    { kind: 'rolling-restart', target: 'any', forMs: [0, 0] },
    { kind: 'terminate-lock-session', target: 'leader', forMs: [0, 0] },
    { kind: 'terminate-sessions', target: 'any', count: 2, forMs: [0, 0] },
    { kind: 'kill-backend', target: 'any', forMs: [0, 0] },
    { kind: 'postgres-fast-restart', target: 'any', forMs: [0, 1500] },
    { kind: 'postgres-immediate-restart', target: 'any', forMs: [0, 1500] },
    { kind: 'database-delay', target: 'any', forMs: short },
    { kind: 'database-silence', target: 'leader', forMs: short },
    { kind: 'database-silence', target: 'follower', forMs: beyondLease },
    { kind: 'database-silence-to-server', target: 'any', forMs: short },
    { kind: 'database-silence-to-node', target: 'any', forMs: short },
    { kind: 'database-cut', target: 'any', forMs: [0, 0] },
    { kind: 'settle-reply-lost', target: 'any', forMs: short },
    { kind: 'submit-reply-lost', target: 'any', forMs: short },
    { kind: 'lease-reply-lost', target: 'leader', forMs: short },
    { kind: 'peer-delay', target: 'leader', forMs: short },
    { kind: 'peer-silence', target: 'leader', forMs: beyondLease },
    { kind: 'peer-silence-to-leader', target: 'leader', forMs: short },
    { kind: 'peer-silence-to-followers', target: 'leader', forMs: short },
    { kind: 'peer-cut', target: 'leader', forMs: [0, 0] },
  ];
  // Cut off from all others for longer than its lease, a node keeps what it has done, and sends it then.
  const links: readonly Recipe[] = [
    { kind: 'link-pulled', target: 'any', forMs: short },
    { kind: 'link-pulled', target: 'any', count: 2, forMs: beyondLease },
  ];
  return (hasLink ? [...recipes, ...links] : recipes).flatMap((recipe) =>
    Array.from({ length: recipe.count ?? 1 }, () => recipe),
  );
}

export function planOf(options: PlanOptions): readonly Fault[] {
  const chance = new Seeded(options.seed);
  const endMs = options.seconds * 1000 - CALM_END_MS;
  const faults: Fault[] = [];
  let deck: Recipe[] = [];
  for (let atMs = FIRST_MS; atMs < endMs; atMs += chance.between(...GAP_MS)) {
    if (deck.length === 0) deck = [...chance.shuffled(deckOf(options))];
    const recipe = deck.pop();
    if (recipe === undefined) break;
    const { kind, target } = recipe;
    const [least, most] = recipe.forMs;
    faults.push({ kind, target, atMs, forMs: chance.between(least, most), draw: chance.next() });
  }
  return faults;
}
