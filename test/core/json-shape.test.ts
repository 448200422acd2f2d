import { expect } from 'chai';
import fc from 'fast-check';
import { faultOfJson, JSON_DEPTH_MAX } from '../../node/core/json-shape.ts';

describe('the shape of JSON that others have made', () => {
  const lists = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

  it('may be nested to its bound and no deeper', () => {
    expect(faultOfJson(lists(JSON_DEPTH_MAX))).to.equal(null);
    expect(faultOfJson(lists(JSON_DEPTH_MAX + 1))).to.match(/64 levels/);
    expect(faultOfJson('{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000))).to.match(/64 levels/);
    expect(faultOfJson(JSON.stringify('['.repeat(200) + '\\"'))).to.equal(null);
  });

  it('has no key that becomes a prototype, however it is written', () => {
    for (const text of [
      '{"__proto__":{"admin":true}}',
      '{"a":[{"\\u005f_proto__":1}]}',
      '{"constructor":{"prototype":{}}}',
      '[{"\\u0063onstructor":{"prototype":null}}]',
    ]) {
      expect(faultOfJson(text), text).to.be.a('string');
    }
    for (const text of [
      '"__proto__"',
      '{"constructor":"Brunel"}',
      '{"prototype":1}',
      '["\\u005f"]',
    ]) {
      expect(faultOfJson(text), text).to.equal(null);
    }
  });

  it('is found in any JSON within the bound that has no such key', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 10 }), (text) => {
        const isBad = /__proto__|constructor/.test(JSON.stringify(JSON.parse(text)));
        fc.pre(!isBad);
        expect(faultOfJson(text)).to.equal(null);
      }),
      { numRuns: 300, seed: 7 },
    );
  });
});
