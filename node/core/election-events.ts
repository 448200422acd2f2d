import type { NodeId, Term } from '../base/ids.ts';

/**
 * The words of the election: what may happen to a node (`core/election.ts` is told so in the past
 * tense) and what it then asks to be done (imperative).
 */
export type Role = 'follower' | 'candidate' | 'leader' | 'stopped';

/** The term row, where it names a leader. */
export interface LeaderView {
  readonly term: Term;
  readonly nodeId: NodeId;
  readonly name: string;
  readonly grpcAddress: string;
  readonly httpUrl: string;
}

export type ElectionEvent = {
  /** Now, on the monotonic clock. */
  readonly atMs: number;
  /** A draw from [0, 1) for whatever wait this event starts. */
  readonly draw: number;
} & ElectionEventBody;

export type ElectionEventBody =
  | { readonly kind: 'started' }
  /** `progressAtMs`: when the scheduler last made progress; asked only while leading. */
  | { readonly kind: 'woke'; readonly progressAtMs: number | null }
  | { readonly kind: 'link-changed'; readonly healthy: boolean }
  | { readonly kind: 'term-seen'; readonly term: Term }
  /** What the leader does could not be begun. */
  | { readonly kind: 'duty-failed'; readonly reason: string }
  | { readonly kind: 'resigned' }
  | { readonly kind: 'stopped' }
  | SessionEvent;

/** What a session answered, under the number it was opened with. */
export type SessionEvent = { readonly session: number } & (
  | { readonly kind: 'session-opened' }
  | { readonly kind: 'session-failed'; readonly reason: string }
  | { readonly kind: 'lock-missed'; readonly view: LeaderView | null }
  | { readonly kind: 'lock-taken' }
  | { readonly kind: 'term-read'; readonly view: LeaderView | null }
  | { readonly kind: 'term-bumped'; readonly sentAtMs: number; readonly view: LeaderView }
  | {
      readonly kind: 'heartbeat-answered';
      readonly sentAtMs: number;
      readonly view: LeaderView | null;
    }
);

/** To be carried out in order. */
export type ElectionEffect =
  | { readonly kind: 'open-session'; readonly session: number }
  | { readonly kind: 'close-session'; readonly session: number; readonly reason: string }
  | { readonly kind: 'try-lock'; readonly session: number }
  | { readonly kind: 'read-term'; readonly session: number }
  | { readonly kind: 'bump-term'; readonly session: number; readonly above: Term }
  | { readonly kind: 'send-heartbeat'; readonly session: number }
  | { readonly kind: 'announce-gain'; readonly term: Term }
  | { readonly kind: 'announce-loss'; readonly term: Term; readonly reason: string }
  | { readonly kind: 'report-leader'; readonly view: LeaderView };
