import { expect } from 'chai';
import { z } from 'zod';
import { defineHandler, FatalError, type HandlerContext } from '../../node/core/handler.ts';
import { toHandlerModule } from '../../node/worker/handler-module.ts';
import { loneRun } from './lone-run.ts';

/** Goal: what a module exports is understood, or refused with what is wrong. Method: exports as they come. */
describe('a module of a handler', () => {
  const contextOf = (payload: unknown): HandlerContext => {
    const [, context] = loneRun({ id: 'a', type: 'x', payload: JSON.stringify(payload) });
    return context;
  };
  const runOf = (exported: unknown, payload: unknown): Promise<unknown> => {
    const context = contextOf(payload);
    const module = toHandlerModule('x.ts', { default: exported });
    return Promise.resolve(module.run(context.task, context));
  };
  const refusalOf = async (parse: unknown, payload: unknown): Promise<FatalError> => {
    try {
      await runOf({ parse, run: (input: unknown) => input }, payload);
    } catch (thrown) {
      if (thrown instanceof FatalError) return thrown;
      throw thrown;
    }
    throw new Error('it was taken');
  };
  const schema = z.object({ name: z.string(), list: z.array(z.number()).default([]) });

  it('is a plain function, which gets the task', async () => {
    const result = await runOf((task: { id: string }) => task.id, null);
    expect(result).to.equal('a');
  });

  it('is a definition, whose input is what its schema gives back', async () => {
    const definition = defineHandler({
      parse: schema,
      run: ({ name, list }) => [name, list.length],
    });
    expect(await runOf(definition, { name: 'Ada', more: 1 })).to.deep.equal(['Ada', 0]);
  });

  it('has its type from its file, or as it says', () => {
    const run = (): null => null;
    expect(toHandlerModule('resize.image.ts', { default: run }).type).to.equal('resize.image');
    const about = { type: 'other', version: '2', timeoutMs: 5, isolation: 'process', run };
    expect(toHandlerModule('resize.ts', { default: about }).about).to.deep.equal({
      ...{ type: 'other', file: 'resize.ts', version: '2', isolation: 'process', timeoutMs: 5 },
      ...{ maxAttempts: null, backoff: null },
    });
  });

  it('is found where CommonJS has wrapped it', () => {
    const exported = { default: { __esModule: true, default: () => null } };
    expect(toHandlerModule('x.cjs', exported).type).to.equal('x');
  });

  // Seen to fail without the pointers, and where only `~standard` is asked.
  for (const [name, parse] of [
    ['a zod schema', schema],
    ['something with safeParse', { safeParse: (given: unknown) => schema.safeParse(given) }],
    ['something with parse', { parse: (given: unknown) => schema.parse(given) }],
    ['a function', (given: unknown) => schema.parse(given)],
  ] as const) {
    it(`refuses a payload by ${name}, with a pointer to each fault`, async () => {
      const { code, message } = await refusalOf(parse, { list: [1, 'b'] });
      expect(code).to.equal('payload_invalid');
      expect(message).to.match(/^the payload is refused: #\/name: .+; #\/list\/1: .+/);
    });
  }

  it('refuses a payload by whatever its parser throws', async () => {
    const parse = (): never => {
      throw new Error('not today');
    };
    expect((await refusalOf(parse, 1)).message).to.equal('the payload is refused: #: not today');
  });

  for (const [fault, exported] of [
    ['has no default export', undefined],
    ['neither a function nor an object with `run`', { handle: () => null }],
    ['`timeoutMs` must be a whole number', { run: () => null, timeoutMs: 0.5 }],
    ['`retry.maxAttempts` must be a whole number', { run: () => null, retry: { maxAttempts: 0 } }],
    ['`isolation` is thread or process', { run: () => null, isolation: 'vm' }],
    ['`parse` is nothing that parses', { run: () => null, parse: { check: 1 } }],
    ['`timeout` is not known', { run: () => null, timeout: 5 }],
    ['`type` must be 1 to 255 printable characters', { run: () => null, type: '' }],
  ] as const) {
    it(`is refused: ${fault}`, () => {
      expect(() => toHandlerModule('x.ts', { default: exported })).to.throw(fault);
    });
  }
});
