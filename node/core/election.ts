import { ceilingMs } from '../base/backoff.ts';
import { toTerm } from '../base/ids.ts';
import type { Term } from '../base/ids.ts';
import { unreachable } from '../base/unreachable.ts';
import type {
  ElectionEffect,
  ElectionEvent,
  LeaderView,
  Role,
  SessionEvent,
} from './election-events.ts';
import type { Timings } from './timings.ts';

/**
 * Who leads: the state machine of one node, without clock, chance or connection of its own. Times
 * and draws come in with the events; what is to be done goes out as effects. `cluster/elector.ts`
 * gives it a clock and a session of PostgreSQL, a simulator gives it a world.
 *
 * ```mermaid
 * stateDiagram-v2
 *   [*] --> parted: started
 *   parted --> opening: woke
 *   opening --> watching: session-opened
 *   watching --> watching: lock-missed, term-read
 *   watching --> bumping: lock-taken
 *   bumping --> leading: term-bumped
 *   leading --> leading: heartbeat-answered
 *   opening --> parted: session-failed
 *   watching --> parted: session-failed, resigned
 *   bumping --> parted: session-failed, answer too late, higher term, resigned
 *   leading --> parted: session-failed, trust over, other term, duty-failed, resigned
 *   parted --> [*]: stopped (from any state)
 * ```
 *
 * Who is `parted`, `opening` or `watching` follows, who is `bumping` is the candidate.
 *
 * A lock says who may start, not who may still write: a process can be frozen, or cut off, and wake
 * up long after the server gave its lock away. Three things together make leadership safe, and the
 * first of them is here:
 *   1. The **trust window**. Leadership is a value with an end, `trustedUntilMs`, which is the
 *      *send* time of the last good heartbeat plus `selfDemoteMs`. The server's idle timer,
 *      `lockIdleMs`, starts when it *finishes* that heartbeat, which is later, and is longer: so
 *      the leader has always stopped before the server can free its lock, whatever the reply's
 *      delay. Counted from the reply, a slow network would stretch the window beyond the server's.
 *   2. The server's dead-man switch (`idle_session_timeout`) ends the lock of a frozen process.
 *   3. The **term** fences what was already on its way: every write of a leader locks the term row
 *      and checks it in the same statement.
 *
 * Failures and their answers:
 *   * The session errs, ends or is silent: leadership ends at once. Nothing is kept on an error.
 *   * The scheduler hangs while its connection lives: the heartbeat is withheld, the window closes.
 *   * A lock was taken but its reply was lost: the session is closed, never reused, and with it the
 *     lock goes. A session that holds the lock never tries again, since session locks stack.
 *   * A node that lost the office waits `penaltyMs` before it tries, so that a rival gets its turn;
 *     meanwhile, and for ever after it resigned, it only reads who leads.
 *   * PostgreSQL is away: new sessions under exponential backoff with full jitter.
 *
 * What it does not promise: that two nodes never both *believe* they lead if a machine's monotonic
 * clock runs more than 1 % slow. Then the fence alone keeps the old one's writes out. Nor that the
 * leader named in the term row leads: a candidate may have died right after its bump.
 */
type Phase =
  | { readonly kind: 'stopped' }
  /** Without a session; opens one at `wakeAtMs`. */
  | { readonly kind: 'parted' }
  | { readonly kind: 'opening' }
  /** With a session; `asking` while its one statement is under way. */
  | { readonly kind: 'watching'; readonly asking: boolean }
  /** The session holds the lock and raises the term. */
  | { readonly kind: 'bumping' }
  | Leading;

interface Leading {
  readonly kind: 'leading';
  /** The term row as our bump left it: any other row in a heartbeat deposes us. */
  readonly view: LeaderView;
  readonly gainedAtMs: number;
  readonly trustedUntilMs: number;
  readonly nextBeatAtMs: number;
  /** While it is under way only the end of the window wakes us: never two at a time. */
  readonly beating: boolean;
}

export interface ElectionState {
  readonly phase: Phase;
  /** The number of the newest session; what older ones answer is ignored. */
  readonly session: number;
  /** Sessions that failed in a row, without a good answer between. */
  readonly failures: number;
  /** The highest seen anywhere; our next is above it even where the database was rolled back. */
  readonly termSeen: Term;
  readonly linkHealthy: boolean;
  /** Before this the lock is not tried: a penalty, or Infinity once resigned. */
  readonly campaignsFromMs: number;
  /** When `woke` is due, null for never. */
  readonly wakeAtMs: number | null;
}

export interface Step {
  readonly state: ElectionState;
  readonly effects: readonly ElectionEffect[];
}

/** Lost sessions are opened anew after a draw from [0, 50 ms], then twice that, up to 1 s. */
const REOPEN = { baseMs: 50, maxMs: 1000 } as const;

/** A withheld heartbeat is looked at again after this share of heartbeatMs. */
const WITHHELD_SHARE = 5;

export const INITIAL: ElectionState = {
  phase: { kind: 'stopped' },
  session: 0,
  failures: 0,
  termSeen: toTerm(0),
  linkHealthy: false,
  campaignsFromMs: 0,
  wakeAtMs: null,
};

export function roleOf(state: ElectionState): Role {
  switch (state.phase.kind) {
    case 'stopped':
      return 'stopped';
    case 'parted':
    case 'opening':
    case 'watching':
      return 'follower';
    case 'bumping':
      return 'candidate';
    case 'leading':
      return 'leader';
    default:
      return unreachable(state.phase);
  }
}

/** The end of the trust window; null for whoever does not lead. */
export function trustedUntilMs(state: ElectionState): number | null {
  return state.phase.kind === 'leading' ? state.phase.trustedUntilMs : null;
}

export function step(state: ElectionState, event: ElectionEvent, timings: Timings): Step {
  if (state.phase.kind === 'stopped') {
    return event.kind === 'started'
      ? stay({ ...state, phase: { kind: 'parted' }, wakeAtMs: event.atMs })
      : stay(state);
  }
  switch (event.kind) {
    case 'started':
      return stay(state);
    case 'woke':
      return onWoke(state, event, event.progressAtMs, timings);
    case 'link-changed':
      return onLinkChanged(state, event, event.healthy, timings);
    case 'term-seen':
      return onTermSeen(state, event, event.term, timings);
    case 'duty-failed':
      return roleOf(state) === 'leader' ? part(state, event, event.reason, timings) : stay(state);
    case 'resigned':
      return onResigned(state, event, timings);
    case 'stopped':
      return onStopped(state);
    default:
      return hasSession(state) && event.session === state.session
        ? onSession(state, event, timings)
        : stay(state);
  }
}

type Moment = Pick<ElectionEvent, 'atMs' | 'draw'>;

function onSession(state: ElectionState, event: Moment & SessionEvent, timings: Timings): Step {
  const phase = state.phase;
  switch (event.kind) {
    case 'session-failed':
      return part(state, event, event.reason, timings);
    case 'session-opened':
      return phase.kind === 'opening' ? ask(state, event) : stay(state);
    case 'lock-missed':
    case 'term-read':
      return phase.kind === 'watching' ? watchOn(state, event, event.view, timings) : stay(state);
    case 'lock-taken':
      return phase.kind === 'watching'
        ? {
            state: { ...state, phase: { kind: 'bumping' }, wakeAtMs: null },
            effects: [{ kind: 'bump-term', session: state.session, above: state.termSeen }],
          }
        : stay(state);
    case 'term-bumped':
      return phase.kind === 'bumping' ? onTermBumped(state, event, timings) : stay(state);
    case 'heartbeat-answered':
      return phase.kind === 'leading'
        ? onHeartbeatAnswered(state, phase, event, timings)
        : stay(state);
    default:
      return unreachable(event);
  }
}

function onWoke(
  state: ElectionState,
  now: Moment,
  progressAtMs: number | null,
  timings: Timings,
): Step {
  // A timer may fire a little early: then nothing has changed and it is set again.
  if (state.wakeAtMs === null || now.atMs < state.wakeAtMs) return stay(state);
  const phase = state.phase;
  if (phase.kind === 'parted') {
    const session = state.session + 1;
    return {
      state: { ...state, phase: { kind: 'opening' }, session, wakeAtMs: null },
      effects: [{ kind: 'open-session', session }],
    };
  }
  if (phase.kind === 'watching') return ask(state, now);
  if (phase.kind === 'leading') return beatOrPart(state, phase, now, progressAtMs, timings);
  return stay(state);
}

function beatOrPart(
  state: ElectionState,
  phase: Leading,
  now: Moment,
  progressAtMs: number | null,
  timings: Timings,
): Step {
  if (now.atMs >= phase.trustedUntilMs) {
    return part(state, now, 'the lock could not be proven in time', timings);
  }
  // A leader that hangs but beats would hold the office for ever: no progress, no heartbeat.
  const progress = Math.max(progressAtMs ?? phase.gainedAtMs, phase.gainedAtMs);
  if (now.atMs - progress >= timings.progressMs) {
    const nextBeatAtMs = now.atMs + timings.heartbeatMs / WITHHELD_SHARE;
    return stay(rearmed(state, { ...phase, nextBeatAtMs }));
  }
  const nextBeatAtMs = now.atMs + timings.heartbeatMs;
  return {
    state: rearmed(state, { ...phase, beating: true, nextBeatAtMs }),
    effects: [{ kind: 'send-heartbeat', session: state.session }],
  };
}

function onTermBumped(
  state: ElectionState,
  event: Moment & { readonly sentAtMs: number; readonly view: LeaderView },
  timings: Timings,
): Step {
  const { atMs, sentAtMs, view } = event;
  const trustedUntil = sentAtMs + timings.selfDemoteMs;
  if (atMs >= trustedUntil) return part(state, event, 'the term was raised too late', timings);
  // Equal is our own: a peer may have read the row before its answer reached us.
  if (state.termSeen > view.term) {
    return part(state, event, 'a higher term was seen while ours was raised', timings);
  }
  const phase: Leading = {
    kind: 'leading',
    view,
    gainedAtMs: atMs,
    trustedUntilMs: trustedUntil,
    nextBeatAtMs: sentAtMs + timings.heartbeatMs,
    beating: false,
  };
  return {
    state: rearmed({ ...state, failures: 0, termSeen: view.term }, phase),
    effects: [
      { kind: 'announce-gain', term: view.term },
      { kind: 'report-leader', view },
    ],
  };
}

function onHeartbeatAnswered(
  state: ElectionState,
  phase: Leading,
  event: Moment & { readonly sentAtMs: number; readonly view: LeaderView | null },
  timings: Timings,
): Step {
  // Once over, trust never returns within a term, even where a late answer would prove the lock.
  if (event.atMs >= phase.trustedUntilMs) {
    return part(state, event, 'the lock could not be proven in time', timings);
  }
  const { view } = event;
  if (view?.term !== phase.view.term || view.nodeId !== phase.view.nodeId) {
    return part(saw(state, view), event, 'the term row is no longer ours', timings);
  }
  const trustedUntil = event.sentAtMs + timings.selfDemoteMs;
  return {
    state: rearmed(state, { ...phase, beating: false, trustedUntilMs: trustedUntil }),
    effects: [{ kind: 'report-leader', view }],
  };
}

function onLinkChanged(state: ElectionState, now: Moment, healthy: boolean, t: Timings): Step {
  const next = { ...state, linkHealthy: healthy };
  if (healthy || state.phase.kind !== 'watching' || state.wakeAtMs === null) return stay(next);
  const soonMs = now.atMs + pauseMs(next, now, t);
  return stay({ ...next, wakeAtMs: Math.min(state.wakeAtMs, soonMs) });
}

function onTermSeen(state: ElectionState, now: Moment, term: Term, timings: Timings): Step {
  if (term <= state.termSeen) return stay(state);
  const next = { ...state, termSeen: term };
  return state.phase.kind === 'leading' && term > state.phase.view.term
    ? part(next, now, 'a higher term was seen', timings)
    : stay(next);
}

function onResigned(state: ElectionState, now: Moment, timings: Timings): Step {
  const next = { ...state, campaignsFromMs: Infinity };
  // Also a watching session is closed: a try may be under way, and would take the lock.
  return hasSession(state) && state.phase.kind !== 'opening'
    ? part(next, now, 'resigned', timings)
    : stay(next);
}

function onStopped(state: ElectionState): Step {
  const effects = hasSession(state) ? partEffects(state, 'stopped') : [];
  const phase = { kind: 'stopped' } as const;
  return { state: { ...state, phase, campaignsFromMs: 0, wakeAtMs: null }, effects };
}

/** Gives the session up, and whatever office hung on it. */
function part(state: ElectionState, now: Moment, reason: string, timings: Timings): Step {
  const failures = state.failures + 1;
  const held = state.phase.kind === 'leading' || state.phase.kind === 'bumping';
  return {
    state: {
      ...state,
      phase: { kind: 'parted' },
      failures,
      campaignsFromMs: held
        ? Math.max(state.campaignsFromMs, now.atMs + timings.penaltyMs)
        : state.campaignsFromMs,
      wakeAtMs: now.atMs + ceilingMs(REOPEN, failures) * now.draw,
    },
    effects: partEffects(state, reason),
  };
}

function partEffects(state: ElectionState, reason: string): readonly ElectionEffect[] {
  const close = { kind: 'close-session', session: state.session, reason } as const;
  return state.phase.kind === 'leading'
    ? [close, { kind: 'announce-loss', term: state.phase.view.term, reason }]
    : [close];
}

function ask(state: ElectionState, now: Moment): Step {
  const kind = now.atMs < state.campaignsFromMs ? 'read-term' : 'try-lock';
  return {
    state: { ...state, phase: { kind: 'watching', asking: true }, wakeAtMs: null },
    effects: [{ kind, session: state.session }],
  };
}

function watchOn(
  state: ElectionState,
  now: Moment,
  view: LeaderView | null,
  timings: Timings,
): Step {
  return {
    state: {
      ...saw(state, view),
      phase: { kind: 'watching', asking: false },
      failures: 0,
      wakeAtMs: now.atMs + pauseMs(state, now, timings),
    },
    effects: view === null ? [] : [{ kind: 'report-leader', view }],
  };
}

function pauseMs(state: ElectionState, now: Moment, timings: Timings): number {
  return state.linkHealthy
    ? timings.followMs
    : timings.campaignMinMs + now.draw * (timings.campaignMaxMs - timings.campaignMinMs);
}

function rearmed(state: ElectionState, phase: Leading): ElectionState {
  const wakeAtMs = phase.beating
    ? phase.trustedUntilMs
    : Math.min(phase.trustedUntilMs, phase.nextBeatAtMs);
  return { ...state, phase, wakeAtMs };
}

function saw(state: ElectionState, view: LeaderView | null): ElectionState {
  return view !== null && view.term > state.termSeen ? { ...state, termSeen: view.term } : state;
}

function hasSession(state: ElectionState): boolean {
  return state.phase.kind !== 'parted' && state.phase.kind !== 'stopped';
}

function stay(state: ElectionState): Step {
  return { state, effects: [] };
}
