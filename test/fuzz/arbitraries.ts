import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';

/** Values out of the JSON Schemas of the document: such that fit, and such that nearly do. */
export type Schema = Readonly<Record<string, unknown>>;

/** What has hurt servers before. */
export const HOSTILE: readonly unknown[] = [
  ...[null, '', ' ', '\0', '\ud800', 'a'.repeat(300), '../../etc/passwd', '%2e%2e', '<img src=x>'],
  ...[
    "'; drop table skein.task; --",
    '${7*7}',
    '{{7*7}}',
    '\u202e',
    '1e999',
    '-0',
    'NaN',
    '__proto__',
  ],
  ...[0, -1, 1.5, 2 ** 31, 2 ** 53, 1e308, -1e308, true, [], {}, [[]], [null], { __proto__: null }],
  ...[
    JSON.parse('{"__proto__":{"polluted":1}}') as object,
    { constructor: { prototype: { polluted: 1 } } },
  ],
];

const NAMES = ['a', 'b', 'c', 'noop', 'sleep', 'nightly', 'w', 'w/x', 'ünï', 'x y', 'a/b', '…'];

export function arbitraryOf(
  schema: Schema,
  components: Readonly<Record<string, Schema>>,
): Arbitrary<unknown> {
  const of = (inner: unknown): Arbitrary<unknown> =>
    arbitraryOf((inner ?? {}) as Schema, components);
  const reference = schema['$ref'];
  if (typeof reference === 'string') return of(components[reference.split('/').at(-1) ?? '']);
  const options = (schema['anyOf'] ?? schema['oneOf']) as readonly unknown[] | undefined;
  if (options !== undefined) return fc.oneof(...options.map(of));
  if ('const' in schema) return fc.constant(schema['const']);
  if (Array.isArray(schema['enum'])) return fc.constantFrom(...(schema['enum'] as unknown[]));
  const { type } = schema;
  if (Array.isArray(type)) {
    return fc.oneof(...type.map((each: unknown) => of({ ...schema, type: each })));
  }
  switch (type) {
    case 'string':
      return stringOf(schema);
    case 'integer':
      return fc.oneof(
        fc.integer({
          min: bound(schema['minimum'], 0),
          max: Math.min(bound(schema['maximum'], 1e6), 1e6),
        }),
        fc.constantFrom(bound(schema['minimum'], 0), bound(schema['maximum'], 1e6)),
      );
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(of(schema['items']), {
        minLength: bound(schema['minItems'], 0),
        maxLength: 4,
      });
    case 'object':
      return objectOf(schema, of);
    default:
      return fc.jsonValue({ maxDepth: 2 });
  }
}

function bound(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function stringOf({ format, pattern, minLength }: Schema): Arbitrary<unknown> {
  if (format === 'date-time') {
    const year = { min: new Date('1971-01-01'), max: new Date('2200-01-01'), noInvalidDate: true };
    return fc.date(year).map((date) => date.toISOString());
  }
  if (typeof pattern === 'string' && pattern.length < 80)
    return fc.stringMatching(new RegExp(pattern, 'u'));
  return fc.oneof(
    fc.constantFrom(...NAMES),
    fc.string({ minLength: bound(minLength, 0), unit: 'grapheme' }),
  );
}

function objectOf(schema: Schema, of: (inner: unknown) => Arbitrary<unknown>): Arbitrary<unknown> {
  const { properties, additionalProperties, propertyNames } = schema;
  if (properties === undefined) {
    const names =
      propertyNames === undefined
        ? fc.constantFrom(...NAMES)
        : (of(propertyNames) as Arbitrary<string>);
    return fc.dictionary(names, of(additionalProperties), { maxKeys: 4 });
  }
  const required = new Set((schema['required'] ?? []) as readonly string[]);
  const model = Object.fromEntries(
    Object.entries(properties as Record<string, unknown>).map(([key, inner]) => [
      key,
      // Nearly all that one could depend on does not exist, and then nothing else is tried.
      key === 'dependencies' ? fc.oneof(fc.constant([]), fc.constant([]), of(inner)) : of(inner),
    ]),
  );
  return fc.record(model, { requiredKeys: Object.keys(model).filter((key) => required.has(key)) });
}

/** The same with something in it replaced, added or taken away. */
export function spoilt(value: unknown, hostile: unknown, place: number): unknown {
  if (typeof value !== 'object' || value === null) return hostile;
  const keys = Object.keys(value);
  const key = keys[place % (keys.length + 1)] ?? 'unknown';
  const copy = structuredClone(value) as Record<string, unknown>;
  const inner = copy[key];
  const isDeep = typeof inner === 'object' && inner !== null && place % 3 === 0;
  Object.defineProperty(copy, key, {
    ...{ configurable: true, enumerable: true, writable: true },
    value: isDeep ? spoilt(inner, hostile, Math.floor(place / 3)) : hostile,
  });
  return copy;
}
