import type { z } from 'zod';
import { AppError, errors } from '../base/errors.ts';
import type { Fault } from '../base/errors.ts';
import { sentenceOfIssue } from './issue-sentence.ts';

/** Faults named in one answer; a body of a million bad tasks must not become a larger answer. */
const NAMED_MAX = 1000;

/** What is wrong with a body, collected over the whole of it and then thrown at once. */
export class Faults {
  readonly #list: Fault[] = [];
  #count = 0;
  #tooLarge: AppError | null = null;

  get isEmpty(): boolean {
    return this.#count === 0 && this.#tooLarge === null;
  }

  /** There are more faults than are named, so that looking for further ones is idle. */
  get isFull(): boolean {
    return this.#count > NAMED_MAX;
  }

  add(pointer: string, detail: string): void {
    this.#count += 1;
    if (this.#list.length < NAMED_MAX) this.#list.push({ pointer, detail });
  }

  /** The value as the schema has it; null where that refuses it, which is a fault for each reason. */
  check<T>(schema: z.ZodType<T>, value: unknown, base: string): T | null {
    const { success, error, data } = schema.safeParse(value, { error: sentenceOfIssue });
    if (success) return data;
    for (const issue of error.issues) {
      const pointer = issue.path.reduce<string>((path, key) => `${path}/${escaped(key)}`, base);
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys)
          this.add(`${pointer}/${escaped(key)}`, 'is not a known field');
      } else {
        this.add(pointer, issue.message);
      }
    }
    return null;
  }

  /** Throws where the schema refuses the value, and where faults were found before. */
  mustBe<T>(schema: z.ZodType<T>, value: unknown, base: string): T {
    const checked = this.check(schema, value, base);
    this.throwIfAny();
    if (checked === null) throw new Error('a schema refused a body without a fault');
    return checked;
  }

  /** Answered with 413, unless something is wrong beside the size. */
  addTooLarge(what: string, limit: string): void {
    this.#tooLarge ??= errors.tooLarge(what, limit);
  }

  throwIfAny(): void {
    if (this.#count > 0) {
      const last = this.isFull ? [{ pointer: '#', detail: 'and more; these are the first' }] : [];
      throw invalid([...this.#list, ...last]);
    }
    if (this.#tooLarge !== null) throw this.#tooLarge;
  }
}

/** The whole list is in `errors`; the sentence names the first few. */
export function invalid(faults: readonly Fault[]): AppError {
  return new AppError('invalid', sentenceOf(faults), {
    httpStatus: 400,
    details: { errors: faults },
  });
}

export function sentenceOf(faults: readonly Fault[]): string {
  const named = faults.slice(0, 3).map((fault) => `${fault.pointer}: ${fault.detail}`);
  const more = faults.length - named.length;
  return named.join('; ') + (more > 0 ? `; and ${String(more)} more` : '');
}

/** One step of a JSON pointer (RFC 6901), cut where a user's key is absurdly long. */
export function escaped(key: PropertyKey): string {
  return String(key).slice(0, 256).replaceAll('~', '~0').replaceAll('/', '~1');
}
