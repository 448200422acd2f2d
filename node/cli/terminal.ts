import { styleText } from 'node:util';
import type { TextStream } from './ports.ts';

/** Data goes to stdout, everything said about it to stderr. */

type Format = Parameters<typeof styleText>[0];
export type Paint = (format: Format, text: string) => string;

export const plain: Paint = (_format, text) => text;

const coloured: Paint = (format, text) => styleText(format, text, { validateStream: false });

/** Colours on a terminal only, and not where NO_COLOR asks for none (no-color.org). */
export function paintFor(
  stream: TextStream,
  env: Readonly<Record<string, string | undefined>>,
): Paint {
  const isWanted = (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  return stream.isTTY === true && isWanted ? coloured : plain;
}

/** Writes a line, and waits while the reader is behind: a list can be longer than the memory. */
export async function printLine(stream: TextStream, text: string): Promise<void> {
  if (stream.write(`${text}\n`)) return;
  await new Promise<void>((resolve) => {
    const events = ['drain', 'close', 'error'] as const;
    const done = (): void => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.once(event, done);
  });
}

const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;

/** A text from elsewhere on one line, without the characters that move a terminal's cursor. */
export function oneLine(text: string): string {
  return text.replaceAll(CONTROLS, ' ');
}

/** Cells that a text takes on a terminal; what is beyond the Latin scripts counts as two, to be safe. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isNarrow = code < 0x1100 || (code >= 0x2000 && code < 0x2600);
    width += isNarrow ? 1 : 2;
  }
  return width;
}

/** Cuts a text to so many cells, the last of them an ellipsis. */
export function cutTo(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let cut = '';
  let left = width - 1;
  for (const character of text) {
    left -= widthOf(character);
    if (left < 0) break;
    cut += character;
  }
  return `${cut}…`;
}
