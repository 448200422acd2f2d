/**
 * The constants of the protocol and the relations that make it safe. All are milliseconds.
 *
 * Why the leader's window is sound: the server's idle timer starts when it *finishes* a heartbeat, the
 * leader's when it *sent* it, so the leader always stops before the server frees its lock. The same
 * argument holds between a node that aborts its tasks and the leader that reclaims them.
 */
export interface Timings {
  /** Between heartbeats of the leader on its lock session; one in flight. */
  readonly heartbeatMs: number;
  /** Without a proof of the lock for so long since the send of the last good one, the leader steps down. */
  readonly selfDemoteMs: number;
  /** `idle_session_timeout` of the lock session: the dead-man switch on the server. */
  readonly lockIdleMs: number;
  /** A follower without a healthy leader tries the lock after a draw from this range … */
  readonly campaignMinMs: number;
  readonly campaignMaxMs: number;
  /** … and with one, this often. */
  readonly followMs: number;
  /** A leader stream silent for so long counts as broken. */
  readonly linkSilenceMs: number;
  /** The scheduler must have made progress within this, else the heartbeat is withheld. */
  readonly progressMs: number;
  /** A deposed or failed candidate waits so long before it campaigns again. */
  readonly penaltyMs: number;
  /** Between renewals of a node's lease. */
  readonly renewMs: number;
  /** The lease of a node. */
  readonly leaseMs: number;
  /** A node that could not renew for so long aborts its tasks … */
  readonly abortMs: number;
  /** … and by then their children are killed. */
  readonly killMs: number;
  /** Between the signal to a child and its kill. */
  readonly killGraceMs: number;
  /** Between the end of a lease and its reclaim. */
  readonly guardMs: number;
}

/** For nodes and a database on one network (milliseconds between them). */
export const LAN: Timings = {
  heartbeatMs: 250,
  selfDemoteMs: 800,
  lockIdleMs: 1200,
  campaignMinMs: 20,
  campaignMaxMs: 50,
  followMs: 1000,
  linkSilenceMs: 500,
  progressMs: 1000,
  penaltyMs: 500,
  renewMs: 1000,
  leaseMs: 10_000,
  abortMs: 7000,
  killMs: 9000,
  killGraceMs: 1000,
  guardMs: 500,
};

/** For links of tens of milliseconds: everything four times longer. */
export const WAN: Timings = Object.fromEntries(
  Object.entries(LAN).map(([key, ms]) => [key, (ms as number) * 4]),
) as unknown as Timings;

/** The longest sleep of an idle leader between two rounds. */
export const IDLE_MS = 200;

/** The rate by which two clocks may drift apart: 1 %. */
const DRIFT = 0.01;

/** Every relation that does not hold, as a sentence; none for safe timings. */
export function faultsOf(t: Timings): readonly string[] {
  const rules: readonly (readonly [boolean, string])[] = [
    [3 * t.heartbeatMs <= t.selfDemoteMs, 'selfDemoteMs must be at least 3 × heartbeatMs'],
    [
      t.selfDemoteMs < t.lockIdleMs * (1 - DRIFT) - 50,
      'selfDemoteMs must end before lockIdleMs, less 1 % and 50 ms',
    ],
    [
      t.abortMs < t.killMs && t.killMs < t.leaseMs * (1 - DRIFT) - 100,
      'abortMs < killMs < leaseMs, less 1 % and 100 ms',
    ],
    [t.abortMs + t.killGraceMs <= t.killMs, 'abortMs + killGraceMs must not exceed killMs'],
    [3 * t.renewMs <= t.abortMs, 'abortMs must be at least 3 × renewMs'],
    [
      t.leaseMs >= 4 * (t.lockIdleMs + t.campaignMaxMs),
      'leaseMs must be at least 4 × (lockIdleMs + campaignMaxMs)',
    ],
    // Else a lock that a frozen leader lost stands free while its followers still believe in it.
    [
      t.linkSilenceMs + t.campaignMaxMs <= t.lockIdleMs,
      'linkSilenceMs + campaignMaxMs must not exceed lockIdleMs',
    ],
    // Else an idle leader, which sleeps between its rounds, looks like one that hangs, and none may lead.
    [t.progressMs >= 2 * IDLE_MS, `progressMs must be at least ${String(2 * IDLE_MS)}`],
    [t.campaignMinMs <= t.campaignMaxMs, 'campaignMinMs must not exceed campaignMaxMs'],
    [
      Object.values(t as unknown as Record<string, number>).every((ms) => ms > 0),
      'every timing must be above 0',
    ],
  ];
  return rules.filter(([holds]) => !holds).map(([, fault]) => fault);
}
