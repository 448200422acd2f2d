import type { Mutant } from './mutant.ts';

/** Who leads: the lock session, the state machine of the election, and how the office is left. */
const CORE = 'node/core/election.ts';
const SESSION = 'node/store/lock-session.ts';
const ELECTOR = 'node/cluster/elector.ts';

export const ELECTION: readonly Mutant[] = [
  {
    name: 'blocking-lock',
    rule: 'F9',
    file: SESSION,
    find: '(select pg_try_advisory_lock($1::int, $2::int) as taken)',
    replace: '(select pg_advisory_lock($1::int, $2::int) is not null as taken)',
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'loses the lock of a process that froze right after it was taken',
      },
    ],
  },
  {
    name: 'no-dead-man-switch',
    rule: 'F1',
    file: SESSION,
    find: `set_config('idle_session_timeout', $3, false) end as armed`,
    replace: `set_config('idle_session_timeout', '0', false) || $3 end as armed`,
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'arms the dead-man switch only with the lock, so that followers stay connected',
      },
    ],
  },
  {
    name: 're-lock-on-heartbeat',
    rule: 'F6',
    file: SESSION,
    find: `select pg_backend_pid() as pid,
  \${TERM_COLUMNS}
from skein.term as term`,
    replace: `select pg_backend_pid() as pid, pg_try_advisory_lock(\${LOCK_KEY.join()}),
  \${TERM_COLUMNS}
from skein.term as term`,
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'holds the lock once after a thousand heartbeats: one unlock would free it',
      },
    ],
  },
  {
    name: 'term-raised-without-the-lock',
    rule: 'F7',
    file: SESSION,
    find: `      and held.pid = pg_backend_pid()
      and held.granted
  )`,
    replace: `      and held.pid = pg_backend_pid()
      and held.granted
  ) is not null`,
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'does not raise the term without the lock',
      },
    ],
  },
  {
    name: 'term-not-above-the-seen',
    rule: 'F18',
    file: SESSION,
    find: 'set term = greatest(term.term, $1::bigint) + 1,',
    replace: 'set term = term.term + 0 * $1::bigint + 1,',
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'raises the term by one, above any that was seen, and reads back who leads',
      },
    ],
  },
  {
    name: 'lock-session-on-any-backend',
    rule: 'F4',
    file: SESSION,
    find: 'if (row.pid !== this.#backendPid) {',
    replace: 'if (row.pid === 0) {',
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'notices when a way that was proven changes to another backend later',
      },
    ],
  },
  {
    name: 'lock-session-kept-after-a-late-answer',
    rule: 'F7',
    file: SESSION,
    find: `    } catch (error) {
      this.#end(toError(error).message);
      throw error;
    } finally {
      cancel();`,
    replace: `    } finally {
      cancel();`,
    killedBy: [
      {
        test: 'test/communication/election-session.test.ts',
        grep: 'leaves no lock behind when the answer to the try is lost',
      },
    ],
  },
  {
    name: 'window-from-the-reply',
    rule: 'F1',
    file: CORE,
    find: 'const trustedUntil = event.sentAtMs + timings.selfDemoteMs;',
    replace: 'const trustedUntil = event.atMs + timings.selfDemoteMs;',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'is trusted from the send of its last good heartbeat, not from the answer',
      },
    ],
  },
  {
    name: 'late-answer-brings-trust-back',
    rule: 'F2',
    file: CORE,
    find: `  if (event.atMs >= phase.trustedUntilMs) {
    return part(state, event,`,
    replace: `  if (event.atMs === Infinity) {
    return part(state, event,`,
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'steps down when the window is over, and a late answer does not bring it back',
      },
    ],
  },
  {
    name: 'role-kept-on-error',
    rule: 'F3',
    file: CORE,
    find: `case 'session-failed':
      return part(state, event, event.reason, timings);`,
    replace: `case 'session-failed':
      return phase.kind === 'leading' ? stay(state) : part(state, event, event.reason, timings);`,
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'closing the socket before it says so',
      },
    ],
  },
  {
    name: 'heartbeat-of-a-hung-leader',
    rule: 'F12',
    file: CORE,
    find: 'if (now.atMs - progress >= timings.progressMs) {',
    replace: 'if (now.atMs - progress === Infinity) {',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'withholds the heartbeat while its scheduler stands still, and lets trust end',
      },
    ],
  },
  {
    name: 'row-of-another-leader-ignored',
    rule: 'F17',
    file: CORE,
    find: 'if (view?.term !== phase.view.term || view.nodeId !== phase.view.nodeId) {',
    replace: 'if (view === null) {',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'closing the socket before it says so',
      },
    ],
  },
  {
    name: 'higher-term-ignored-by-a-leader',
    rule: 'F2',
    file: CORE,
    find: `return state.phase.kind === 'leading' && term > state.phase.view.term`,
    replace: `return state.phase.kind === 'leading' && term === Infinity`,
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'closing the socket before it says so',
      },
    ],
  },
  {
    name: 'higher-term-ignored-by-a-candidate',
    rule: 'F2',
    file: CORE,
    find: 'if (state.termSeen > view.term) {',
    replace: 'if (view.term < 0) {',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'does not lead where a higher term was seen meanwhile; seeing its own is no harm',
      },
    ],
  },
  {
    name: 'late-bump-leads',
    rule: 'F2',
    file: CORE,
    find: 'if (atMs >= trustedUntil) return part(',
    replace: 'if (atMs === Infinity) return part(',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'does not lead where the answer to its bump comes after the trust window',
      },
    ],
  },
  {
    name: 'no-penalty',
    rule: 'F15',
    file: CORE,
    find: 'now.atMs + timings.penaltyMs)',
    replace: 'now.atMs)',
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'closes its session and sits out a penalty where the term cannot be raised',
      },
    ],
  },
  {
    name: 'resignation-keeps-the-session',
    rule: 'F13',
    file: CORE,
    find: `return hasSession(state) && state.phase.kind !== 'opening'`,
    replace: `return hasSession(state) && state.phase.kind === 'bumping'`,
    killedBy: [
      {
        test: 'test/core/election.test.ts',
        grep: 'closing the socket before it says so',
      },
    ],
  },
  {
    name: 'resign-after-drain',
    rule: 'F13',
    file: 'node/incarnation.ts',
    find: `    await this.elector.resign();
    await this.registry.setState(this.nodeId, 'draining').catch((thrown: unknown) => {
      this.deps.log.warn('The node could not be marked as draining.', { error: toError(thrown) });
    });
    this.contact.drain();
    await this.worker.drain(drainMs, signal);`,
    replace: `    await this.registry.setState(this.nodeId, 'draining').catch((thrown: unknown) => {
      this.deps.log.warn('The node could not be marked as draining.', { error: toError(thrown) });
    });
    this.contact.drain();
    await this.worker.drain(drainMs, signal);
    await this.elector.resign();`,
    killedBy: [
      {
        test: 'test/full/cluster/resign-first.test.ts',
        grep: 'resigns first and drains second',
      },
    ],
  },
  {
    name: 'trust-without-a-look-at-the-clock',
    rule: 'F2',
    file: ELECTOR,
    find: 'if (until !== null && this.#deps.clock.monotonicMs() < until) return true;',
    replace: 'if (until !== null) return true;',
    killedBy: [
      {
        test: 'test/communication/election.test.ts',
        grep: 'ends the trust of a leader whose event loop stood still, before any timer can',
      },
    ],
  },
  {
    name: 'signal-aborted-by-the-loss-alone',
    rule: 'F3',
    file: ELECTOR,
    find: `      this.#term?.abort(new Error('the leadership is over'));
      this.#term = null;`,
    replace: '',
    killedBy: [
      {
        test: 'test/communication/election.test.ts',
        grep: 'loses the office with its backend; another takes it with a higher term',
      },
    ],
  },
  {
    name: 'window-from-before-the-statement-was-answered',
    rule: 'F1',
    file: ELECTOR,
    find: `        this.#dispatch({ ...answer, session: number });`,
    replace: `        const atMs = this.#deps.clock.monotonicMs();
        const late = 'sentAtMs' in answer ? { ...answer, sentAtMs: atMs } : answer;
        this.#dispatch({ ...late, session: number });`,
    why: 'The elector takes the time of the answer for that of the send.',
    killedBy: [
      {
        test: 'test/communication/elector.test.ts',
        grep: 'is trusted from the send of its last good heartbeat',
      },
    ],
  },
];
