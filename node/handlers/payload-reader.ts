import { FatalError } from '../core/handler.ts';

/**
 * Reads the payload of a built-in type and names every fault of it at once, each with its place. What a
 * field lacks is what its default says; what nobody asked for is a fault too, because it is most often
 * a field that somebody has misspelled.
 */
export class PayloadReader {
  private readonly fields: Readonly<Record<string, unknown>>;
  private readonly faults: string[] = [];
  private readonly known = new Set<string>();

  constructor(payload: unknown) {
    if (!isRecord(payload))
      throw new FatalError('payload_invalid', 'the payload must be an object');
    this.fields = payload;
  }

  /** undefined where the field is absent or null. */
  raw(name: string): unknown {
    this.known.add(name);
    return this.fields[name] ?? undefined;
  }

  fault(name: string, what: string): void {
    this.faults.push(`${name} ${what}`);
  }

  text(name: string): string | undefined {
    const value = this.raw(name);
    if (value === undefined || typeof value === 'string') return value;
    this.fault(name, 'must be a text');
    return undefined;
  }

  whole(name: string, range: { readonly min: number; readonly max: number; readonly or: number }) {
    const value = this.raw(name) ?? range.or;
    const { min, max } = range;
    if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max) {
      return Number(value);
    }
    this.fault(name, `must be a whole number from ${String(min)} to ${String(max)}`);
    return range.or;
  }

  /** An object of texts; an empty one where it is absent. */
  texts(name: string): Readonly<Record<string, string>> {
    const value = this.raw(name) ?? {};
    if (isRecord(value) && Object.values(value).every((one) => typeof one === 'string')) {
      return value as Readonly<Record<string, string>>;
    }
    this.fault(name, 'must be an object of texts');
    return {};
  }

  /** Which codes count as success: numbers and ranges such as `"200-299"`, in a list or alone. */
  codes(name: string, or: readonly unknown[], max: number): (code: number) => boolean {
    const value = this.raw(name) ?? or;
    const ranges: (readonly [number, number])[] = [];
    for (const one of Array.isArray(value) ? (value as readonly unknown[]) : [value]) {
      const [, from, to = from] = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(String(one)) ?? [];
      if (from === undefined || Number(from) > Number(to) || Number(to) > max) {
        this.fault(name, `holds ${JSON.stringify(one)}, which is no code and no range of codes`);
      } else ranges.push([Number(from), Number(to)]);
    }
    return (code) => ranges.some(([from, to]) => from <= code && code <= to);
  }

  /** Throws what no further attempt can mend, where anything was at fault. */
  end(): void {
    for (const name of Object.keys(this.fields)) {
      if (!this.known.has(name)) this.fault(name, 'is no field of this type');
    }
    if (this.faults.length > 0) throw new FatalError('payload_invalid', this.faults.join('; '));
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
