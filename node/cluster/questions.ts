import type { Clock } from '../base/clock.ts';
import { Gate } from '../base/gate.ts';
import type { Ask, Prospected } from '../core/messages.ts';

/**
 * What a node asks its leader for people: one question at a time, because each costs the leader up to a
 * millisecond, and people ask as often as their pages and scripts do. Without a leader, or where it does
 * not answer in time, the answer is undefined: whoever asked says what the database says.
 */
const ASKING_MAX = 1;
/** Beyond so many that wait the next one is refused by the gate. */
const WAITING_MAX = 200;
const ANSWER_MS = 1000;

export class Questions {
  private readonly clock: Clock;
  private readonly gate = new Gate(ASKING_MAX, WAITING_MAX);
  private asked: { readonly number: number; readonly answer: Answer } | undefined;
  private count = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Sends a question by `send`, which answers false where there is no leader to hear it. */
  ask(
    { seq, typeIds }: Omit<Ask, 'number'>,
    send: (ask: Ask) => boolean,
    signal: AbortSignal,
  ): Promise<Prospected | undefined> {
    return this.gate.run(() => this.askNow({ seq, typeIds }, send), signal);
  }

  answered(prospect: Prospected): void {
    if (prospect.number === this.asked?.number) this.asked.answer(prospect);
  }

  /** The stream to the leader is gone. */
  lost(): void {
    this.asked?.answer(undefined);
  }

  private askNow(
    question: Omit<Ask, 'number'>,
    send: (ask: Ask) => boolean,
  ): Promise<Prospected | undefined> {
    this.count += 1;
    const number = this.count;
    return new Promise((resolve) => {
      const cancel = this.clock.after(ANSWER_MS, () => {
        answer(undefined);
      });
      const answer: Answer = (prospect) => {
        cancel();
        this.asked = undefined;
        resolve(prospect);
      };
      this.asked = { number, answer };
      if (!send({ ...question, number })) answer(undefined);
    });
  }
}

type Answer = (prospect: Prospected | undefined) => void;
