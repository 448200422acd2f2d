import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import type { OpenApiDocument } from '../../node/api/contract/openapi.ts';
import { arbitraryOf, HOSTILE, spoilt } from './arbitraries.ts';
import type { Schema } from './arbitraries.ts';

/** Calls of REST out of the document at /openapi.json: right ones, wrong ones, and hostile ones. */
export interface FuzzCall {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

interface Operation {
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly schema: Schema;
  }[];
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: Schema }>>;
  };
}

/** What would end the trial itself: nodes that drain take no work. */
const LEFT_OUT = /^\/nodes\/\{name\}\//;
const IDS = ['a', 'b', 'c', 'w', 'w/x', 'nightly', 'noop', 'nobody', 'task-A', 'report', 'ünï'];

const BOMBS: readonly (() => string | Buffer)[] = [
  () => '['.repeat(100_000),
  () => '{"a":'.repeat(70) + '1' + '}'.repeat(70),
  () => `{"type":"noop","payload":"${'x'.repeat(300_000)}"}`,
  () => '{"type":"noop","id":',
  () => Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  () => '{"type":"noop","__proto__":{"x":1}}',
  () => '"just a text"',
  () => `{${Array.from({ length: 2000 }, (_, at) => `"k${String(at)}":1`).join(',')}}`,
  () => '',
];

export function callsOf(document: OpenApiDocument): Arbitrary<FuzzCall> {
  const components = document.components.schemas;
  const calls = Object.entries(document.paths)
    .filter(([path]) => !LEFT_OUT.test(path))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) =>
        callOf(method.toUpperCase(), path, operation as Operation, components),
      ),
    );
  return fc.oneof(...calls);
}

function callOf(
  method: string,
  path: string,
  { parameters = [], requestBody }: Operation,
  components: Readonly<Record<string, Schema>>,
): Arbitrary<FuzzCall> {
  const hostile = fc.constantFrom(...HOSTILE);
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  const inPath = fc.tuple(
    ...names.map(() =>
      fc.oneof(fc.constantFrom(...IDS), fc.string({ minLength: 1 }), hostile.map(textOf)),
    ),
  );
  const query = fc.record(
    Object.fromEntries(
      parameters
        .filter((parameter) => parameter.in === 'query')
        .map(({ name, schema }) => [name, mostly(arbitraryOf(schema, components), hostile)]),
    ),
    { requiredKeys: [] },
  );
  const extra = seldom(fc.tuple(fc.string(), fc.string()));
  const key = seldom(fc.constantFrom('k1', 'k2', '', '"q"', 'x'.repeat(400)));
  return fc
    .tuple(inPath, query, extra, key, bodyOf(requestBody, components))
    .map(([params, given, more, idempotencyKey, sent]) => {
      const search = new URLSearchParams();
      for (const [name, value] of Object.entries(given)) search.append(name, textOf(value));
      // What waits, or follows, would hold the trial up and try nothing else.
      if (search.has('wait')) search.set('wait', '1');
      search.delete('follow');
      if (more !== null) search.append(more[0], more[1]);
      const filled = names.reduce(
        (text, name, at) => text.replace(`{${name}}`, encoded(params[at] ?? '')),
        path,
      );
      return {
        method,
        path: search.size === 0 ? filled : `${filled}?${search.toString()}`,
        headers: {
          ...(sent === undefined ? {} : { 'content-type': sent.type }),
          ...(idempotencyKey === null || idempotencyKey === ''
            ? {}
            : { 'idempotency-key': idempotencyKey }),
        },
        ...(sent === undefined || method === 'GET' ? {} : { body: sent.body }),
      };
    });
}

interface Sent {
  readonly type: string;
  readonly body: string | Buffer;
}

function bodyOf(
  requestBody: Operation['requestBody'],
  components: Readonly<Record<string, Schema>>,
): Arbitrary<Sent | undefined> {
  const json = 'application/json';
  const bomb = fc.constantFrom(...BOMBS).map((make) => ({ type: json, body: make() }));
  if (requestBody === undefined) {
    return fc.oneof(
      { weight: 6, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: bomb },
    );
  }
  const right = arbitraryOf(requestBody.content[json]?.schema ?? {}, components);
  const wrong = fc
    .tuple(right, fc.constantFrom(...HOSTILE), fc.nat(50))
    .map(([value, hostile, place]) => spoilt(value, hostile, place));
  const type = fc.oneof(
    { weight: 12, arbitrary: fc.constant(json) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        'text/plain',
        'application/x-ndjson',
        '',
        'application/json; charset=x',
      ),
    },
  );
  const written = fc
    .tuple(type, fc.oneof({ weight: 3, arbitrary: right }, { weight: 2, arbitrary: wrong }))
    .map(([each, value]) => ({ type: each, body: jsonOf(value) }));
  return fc.oneof({ weight: 9, arbitrary: written }, { weight: 1, arbitrary: bomb });
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : jsonOf(value);
}

/** Percent-encoded, but now and then as no client should. */
function encoded(text: string): string {
  // By itself it would never be sent: every client folds such a step away.
  if (text === '%2e%2e') return '%2e%2e%2f%2e%2e';
  try {
    return encodeURIComponent(text);
  } catch {
    // Half of a surrogate pair has no encoding.
    return '%ED%A0%80';
  }
}

/** Null nine times in ten. */
function seldom<T>(arbitrary: Arbitrary<T>): Arbitrary<T | null> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary });
}

function mostly(right: Arbitrary<unknown>, wrong: Arbitrary<unknown>): Arbitrary<unknown> {
  return fc.oneof({ weight: 5, arbitrary: right }, { weight: 1, arbitrary: wrong });
}

/** Nothing at all has no text. */
function jsonOf(value: unknown): string {
  return value === undefined ? '' : JSON.stringify(value);
}
