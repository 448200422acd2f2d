import { toError } from '../base/errors.ts';
import type { FromChild, ToChild } from './child-messages.ts';
import { checkedResult, fromThrown, toThrown } from './outcome.ts';
import type { RunContext } from './run-context.ts';

/** One task that runs elsewhere, as its node sees it. */
export interface Seat {
  readonly context: RunContext;
  readonly onBegun: () => void;
  readonly resolve: (result: string) => void;
  readonly reject: (error: Error) => void;
  readonly reply: (message: ToChild) => void;
}

/** What else a handler may send is its own business, and a message of another shape is its own fault. */
export function hear(seat: Seat, message: FromChild): void {
  try {
    hearWell(seat, message);
  } catch (thrown) {
    seat.reject(toError(thrown));
  }
}

function hearWell(seat: Seat, message: FromChild): void {
  switch (message.kind) {
    case 'begun':
      seat.onBegun();
      return;
    case 'lines':
      for (const line of message.lines) seat.context.reporter.addLine(line);
      return;
    case 'progress':
      seat.context.reporter.progress(message.fraction, message.note ?? undefined);
      return;
    case 'ask':
      void answer(seat, message);
      return;
    case 'completed':
      seat.resolve(checkedResult(message.result));
      return;
    case 'thrown':
      seat.reject(fromThrown(message.thrown));
      return;
  }
}

/** Never rejects: what cannot be answered is thrown where the handler asked for it. */
async function answer(
  { context, reply }: Seat,
  question: Extract<FromChild, { kind: 'ask' }>,
): Promise<void> {
  const { number } = question;
  try {
    const text =
      question.what === 'results'
        ? await context.resultsText()
        : await context.spawnText(question.text);
    reply({ kind: 'answer', number, text });
  } catch (thrown) {
    reply({ kind: 'refusal', number, thrown: toThrown(thrown) });
  }
}
