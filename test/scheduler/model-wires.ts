import type { FromLeader, FromNode } from '../../node/core/messages.ts';
import type { LinkHandlers } from '../../node/leader/ports.ts';

interface Call {
  readonly execute: () => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  outcome?: { readonly value: unknown } | { readonly error: Error };
}

/** A pipelined connection: statements are executed in their order, and answered in it. */
export class Connection {
  private calls: Call[] = [];

  /** An object of functions as a port whose methods go over this connection. */
  port(functions: object): Record<string, (...args: unknown[]) => Promise<unknown>> {
    const methods = Object.entries(functions as Record<string, (...args: unknown[]) => unknown>);
    const over = methods.map(([name, run]) => [
      name,
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          this.calls.push({ execute: () => run(...args), resolve, reject });
        }),
    ]);
    return Object.fromEntries(over) as ReturnType<Connection['port']>;
  }

  get moves(): (() => void)[] {
    const next = this.calls.find((call) => call.outcome === undefined);
    const [head] = this.calls;
    return [
      ...(next === undefined ? [] : [() => this.execute(next)]),
      ...(head?.outcome === undefined ? [] : [() => this.answer()]),
    ];
  }

  /** The answers of what is under way are lost, and perhaps its execution. */
  lose(isNextExecuted: boolean): void {
    const next = this.calls.find((call) => call.outcome === undefined);
    if (isNextExecuted && next !== undefined) this.execute(next);
    for (const { reject } of this.calls.splice(0)) reject(new Error('the connection was lost'));
  }

  private execute(call: Call): void {
    try {
      call.outcome = { value: structuredClone(call.execute()) };
    } catch (thrown) {
      call.outcome = { error: thrown as Error };
    }
  }

  private answer(): void {
    const call = this.calls.shift();
    if (call?.outcome === undefined) return;
    if ('error' in call.outcome) call.reject(call.outcome.error);
    else call.resolve(call.outcome.value);
  }
}

/** One stream between a node and a leader, with what is on its way in both directions. */
export class Wire {
  handlers: LinkHandlers | undefined;
  private readonly onMessage: (message: FromLeader) => void;
  private readonly onClosed: () => void;
  private toLeader: (FromNode | 'closed')[] = [];
  private toNode: (FromLeader | 'closed')[] = [];
  private isClosed = false;
  private sent = 0;

  constructor(onMessage: (message: FromLeader) => void, onClosed: () => void) {
    this.onMessage = onMessage;
    this.onClosed = onClosed;
  }

  sendToNode(frame: Omit<FromLeader, 'number'>): number {
    this.sent += 1;
    if (!this.isClosed) this.toNode.push({ ...frame, number: this.sent });
    return this.sent;
  }

  sendToLeader(frame: FromNode): void {
    if (!this.isClosed) this.toLeader.push(structuredClone(frame));
  }

  /** Nothing more is sent; what is on its way arrives, except the last `lost` frames each way. */
  close(lost = 0): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.toLeader.splice(Math.max(0, this.toLeader.length - lost), Infinity, 'closed');
    this.toNode.splice(Math.max(0, this.toNode.length - lost), Infinity, 'closed');
  }

  get isOver(): boolean {
    const isRead = this.toLeader.length === 0 || this.handlers === undefined;
    return this.isClosed && isRead && this.toNode.length === 0;
  }

  get moves(): (() => void)[] {
    const { handlers } = this;
    const moves: (() => void)[] = [];
    if (handlers !== undefined && this.toLeader.length > 0) {
      moves.push(() => {
        const frame = this.toLeader.shift();
        if (frame === 'closed') handlers.onClosed();
        else if (frame !== undefined) handlers.onMessage(frame);
      });
    }
    if (this.toNode.length > 0) {
      moves.push(() => {
        const frame = this.toNode.shift();
        if (frame === 'closed') this.onClosed();
        else if (frame !== undefined) this.onMessage(frame);
      });
    }
    return moves;
  }
}
