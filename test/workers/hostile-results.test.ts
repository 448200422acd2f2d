import { expect } from 'chai';
import fc from 'fast-check';
import { faultOfJson } from '../../node/core/json-shape.ts';
import { handlerOf, nested } from './fakes.ts';
import { Bench } from './setup.ts';

/**
 * Goal: nothing that a handler returns or throws keeps a task from ending, its own or another of the
 * batch: a result with NUL has left tasks running for ever elsewhere.
 * Method: values of every kind out of a property tester, returned and thrown through the real settle
 * into PostgreSQL, hundreds at a time with plain ones between them.
 * Seen to fail: with `messageOf` that leaves NUL and half pairs in, and with a result that is not made
 * JSON by toResult.
 */
const COUNT = 200;
const BATCHES = 2;

const hostile = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
  },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      ...['\0', 'a\0b', '\ud800', '\udc00\ud800', '\uffff', '\u{10ffff}', '"\\u0000"', '{}', ''],
      ...[1e400, -1e400, NaN, -0, 1e308, 5e-324, Number.MAX_SAFE_INTEGER + 2],
      ...[undefined, Symbol('s'), () => 1, 10n ** 40n, new Map([[1, 2]]), new Date(NaN)],
      ...[
        nested(5000),
        nested(50_000),
        { toJSON: () => '\0\ud800' },
        { ['\0']: { ['\ud800']: 1 } },
      ],
    ),
  },
);

describe('what a handler returns or throws', () => {
  let bench: Bench;
  afterEach(() => bench.close());

  it('ends its own task and no other, whatever it is', async () => {
    let values: readonly unknown[] = [];
    const at = (payload: unknown): unknown => values[payload as number];
    bench = await Bench.open({
      slots: COUNT,
      handlers: [
        handlerOf('return', ({ payload }) => Promise.resolve(at(payload))),
        handlerOf('throw', ({ payload }) => {
          const thrown = at(payload) as Error;
          throw thrown;
        }),
        handlerOf('plain', ({ payload }) => Promise.resolve(payload)),
      ],
    });
    for (let batch = 0; batch < BATCHES; batch++) {
      values = fc.sample(hostile, { numRuns: COUNT, seed: 34 + batch });
      const types = ['return', 'throw', 'plain'];
      const sketches = values.map((_, index) => ({
        type: types[index % types.length] ?? '',
        payload: String(index),
        maxAttempts: 1,
      }));
      const seqs = await bench.runAll(...sketches);
      for (const [index, seq] of seqs.entries()) {
        const { status, result, error } = await bench.task(seq);
        const type = types[index % types.length];
        const what = `${String(type)} of value ${String(index)} of batch ${String(batch)}`;
        const json = type === 'return' ? jsonOf(values[index]) : String(index);
        if (type === 'throw' || json === undefined) {
          expect(status, what).to.equal(2);
          expect(error?.code, what).to.be.a('string');
        } else {
          expect(status, `${what}: ${String(error?.message)}`).to.equal(1);
          expect(result, what).to.equal(json);
        }
      }
    }
    // PostgreSQL stores a NUL within JSON, and then refuses to read any field of it.
    await bench.admin.query(`select error ->> 'message' from skein.task`);
    expect(await bench.admin.query('select from skein.live')).to.include({ rowCount: 0 });
  });
});

/** The JSON that is stored; undefined for what has none. */
function jsonOf(value: unknown): string | undefined {
  if (value === null || value === undefined) return 'null';
  try {
    const text = JSON.stringify(value) as string | undefined;
    return text === undefined || faultOfJson(text) !== null ? undefined : text;
  } catch {
    return undefined;
  }
}
