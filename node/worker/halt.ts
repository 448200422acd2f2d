/** Why a running task is told to stop; what it does after that decides nothing but its own grace. */
export class Interruption extends Error {
  readonly code: 'cancelled' | 'timeout' | 'lease_lost' | 'draining' | 'recalled';
  constructor(code: Interruption['code']) {
    super(INTERRUPTIONS[code]);
    this.name = 'Interruption';
    this.code = code;
  }
}

const INTERRUPTIONS = {
  cancelled: 'the task was cancelled',
  timeout: 'the task ran longer than its timeout_ms',
  lease_lost: 'the node could not renew its lease',
  draining: 'the node is shutting down',
  recalled: 'another node had a free slot before this one',
} as const;

/**
 * The way to stop one task; its first reason stands. The signal is made when somebody asks for it: most
 * tasks end without, and an AbortController costs more than all else a node does for a noop (4 µs).
 */
export class Halt {
  /** Called once, at the interruption, after the signal. */
  onInterrupt: (() => void) | undefined;
  /** Called where the task is wanted back if it has not begun; what runs, runs on. */
  onRecall: (() => void) | undefined;
  private first: Interruption | undefined;
  private controller: AbortController | undefined;

  get reason(): Interruption | undefined {
    return this.first;
  }

  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController();
      if (this.first !== undefined) this.controller.abort(this.first);
    }
    return this.controller.signal;
  }

  interrupt(code: Interruption['code']): void {
    if (this.first !== undefined) return;
    this.first = new Interruption(code);
    this.controller?.abort(this.first);
    this.onInterrupt?.();
  }
}
