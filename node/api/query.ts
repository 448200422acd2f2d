import { TASK_STATUSES } from '../core/task.ts';
import type { TaskStatus } from '../core/task.ts';
import { Faults } from './faults.ts';

/** Query parameters, with every fault at once; one that is not known is a fault, as in a body. */
export const PAGE_MAX = 500;
export const WAIT_MS_MAX = 5 * 60_000;

export class Query {
  readonly #parameters: URLSearchParams;
  readonly #faults = new Faults();

  constructor(parameters: URLSearchParams, known: readonly string[]) {
    this.#parameters = parameters;
    for (const key of new Set(parameters.keys())) {
      if (!known.includes(key)) this.#fault(key, 'is not a known parameter');
      else if (parameters.getAll(key).length > 1) this.#fault(key, 'is given twice');
    }
  }

  text(key: string): string | null {
    const value = this.#parameters.get(key);
    if (value === null) return null;
    if (value === '' || value.length > 1000 || value.includes('\0')) {
      this.#fault(key, 'is empty, too long, or not text');
      return null;
    }
    return value;
  }

  status(key: string): TaskStatus | null {
    const value = this.#parameters.get(key);
    if (value === null) return null;
    const status = TASK_STATUSES.find((known) => known === value.toUpperCase());
    if (status === undefined) this.#fault(key, `must be one of ${TASK_STATUSES.join(', ')}`);
    return status ?? null;
  }

  /** 1 to 500, by default `fallback`. */
  limit(fallback = PAGE_MAX): number {
    return this.#integer('limit', 1, PAGE_MAX) ?? fallback;
  }

  /** From 1 up; null where it is not given. */
  count(key: string): number | null {
    return this.#integer(key, 1, 32_767);
  }

  /** `1` or `true`, `0` or `false`; off where it is not given. */
  flag(key: string): boolean {
    const value = this.#parameters.get(key) ?? '0';
    if (!['0', 'false', '1', 'true'].includes(value)) this.#fault(key, 'must be 0 or 1');
    return value === '1' || value === 'true';
  }

  /** The `next` of the page before. */
  cursor(most = Number.MAX_SAFE_INTEGER): number | null {
    return this.#integer('cursor', 1, most);
  }

  /** Milliseconds: `30s`, `500ms`, `2m`, or a plain number of them; null where it is not given. */
  wait(key: string): number | null {
    const value = this.#parameters.get(key);
    if (value === null) return null;
    const [, digits, unit] = /^(\d{1,9})(ms|s|m)?$/.exec(value) ?? [];
    const ms = Number(digits) * (UNIT_MS.get(unit ?? 'ms') ?? Number.NaN);
    if (ms <= WAIT_MS_MAX) return ms;
    this.#fault(key, 'must be a time up to 5 minutes, such as 500ms, 30s or 2m');
    return null;
  }

  /** Milliseconds since the epoch; null where it is not given. */
  instant(key: string): number | null {
    const value = this.#parameters.get(key);
    if (value === null) return null;
    const ms = INSTANT.test(value) ? Date.parse(value) : Number.NaN;
    if (ms >= 0) return ms;
    this.#fault(key, 'must be an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z');
    return null;
  }

  throwIfAny(): void {
    this.#faults.throwIfAny();
  }

  #integer(key: string, least: number, most: number): number | null {
    const value = this.#parameters.get(key);
    if (value === null) return null;
    const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= least && number <= most) return number;
    this.#fault(key, `must be an integer from ${String(least)} to ${String(most)}`);
    return null;
  }

  #fault(key: string, detail: string): void {
    this.#faults.add(`?${key.slice(0, 100)}`, detail);
  }
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)$/;

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
]);

/** The `Link` header of a page; none for the last. */
export function nextLink(
  path: string,
  parameters: URLSearchParams,
  next: number | null,
): Readonly<Record<string, string>> {
  if (next === null) return {};
  const following = new URLSearchParams(parameters);
  following.set('cursor', String(next));
  return { link: `<${path}?${following.toString()}>; rel="next"` };
}
