// Goal: a log line says what it was told, on one line, whatever it was told.
// Method: the logger writes into a stream that collects; each line is parsed back.
import { PassThrough, Writable } from 'node:stream';
import { expect } from 'chai';
import fc from 'fast-check';
import { createLogger } from '../../node/observe/log.ts';
import type { Logger, LoggerOptions } from '../../node/observe/log.ts';

interface Collected {
  readonly log: Logger;
  /** Closes the log and returns its lines. */
  readonly lines: () => Promise<readonly string[]>;
}

function collect(options: Partial<LoggerOptions> & { readonly isTTY?: boolean } = {}): Collected {
  const stream = new PassThrough();
  const chunks: string[] = [];
  stream.on('data', (bytes: Buffer) => chunks.push(bytes.toString()));
  if (options.isTTY === true) Object.assign(stream, { isTTY: true });
  const log = createLogger({ level: 'info', format: 'json', stream, ...options });
  const lines = async (): Promise<readonly string[]> => {
    await log.close();
    return chunks.join('').split('\n').slice(0, -1);
  };
  return { log, lines };
}

async function parsed(collected: Collected): Promise<readonly Record<string, unknown>[]> {
  return (await collected.lines()).map((line) => JSON.parse(line) as Record<string, unknown>);
}

async function only(collected: Collected): Promise<Record<string, unknown>> {
  const lines = await parsed(collected);
  expect(lines).to.have.length(1);
  return lines[0] ?? {};
}

describe('a JSON log', () => {
  it('has the time, the level, the sentence and the fields', async () => {
    const collected = collect({ fields: { node: 'node-1' } });
    collected.log.info('a node has joined', { term: 3 });
    const { timestamp, ...line } = await only(collected);
    expect(line).to.deep.equal({
      level: 'info',
      message: 'a node has joined',
      node: 'node-1',
      term: 3,
    });
    expect(new Date(String(timestamp)).toISOString()).to.equal(timestamp);
  });

  it('writes nothing below its level', async () => {
    const collected = collect({ level: 'warn' });
    collected.log.debug('d');
    collected.log.info('i');
    collected.log.warn('w');
    collected.log.error('e');
    expect((await parsed(collected)).map(({ level }) => level)).to.deep.equal(['warn', 'error']);
  });

  it('gives a child the fields of its parent and its own', async () => {
    const collected = collect({ fields: { node: 'node-1', role: 'none' } });
    const child = collected.log.child({ role: 'leader' }).child({ term: 4 });
    child.info('leads', { term: 5 });
    expect(await only(collected)).to.include({ node: 'node-1', role: 'leader', term: 5 });
  });

  it('tells an error with its code, its stack and its causes', async () => {
    const collected = collect();
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
    collected.log.error('failed', { err: new TypeError('no database', { cause }) });
    const { err } = (await only(collected)) as { err: Record<string, unknown> };
    expect(err).to.include({ name: 'TypeError', message: 'no database' });
    expect(err.stack).to.contain('log.test.ts');
    expect(err.cause).to.include({ message: 'refused', code: 'ECONNREFUSED' });
  });

  it('survives errors that cause each other', async () => {
    const collected = collect();
    const first = new Error('first');
    const second = new Error('second', { cause: first });
    first.cause = second;
    collected.log.error('failed', { err: first });
    const { err } = (await only(collected)) as { err: { cause: { cause: unknown } } };
    expect(err.cause.cause).to.equal('[circular]');
  });

  it('tells every error of an aggregate', async () => {
    const collected = collect();
    collected.log.error('failed', { err: new AggregateError([new Error('a'), new Error('b')]) });
    const { err } = (await only(collected)) as { err: { errors: { message: string }[] } };
    expect(err.errors.map(({ message }) => message)).to.deep.equal(['a', 'b']);
  });

  const circular: Record<string, unknown> = { name: 'loop' };
  circular.self = circular;
  const hostile = {
    fine: 1,
    get bad(): never {
      throw new Error('no');
    },
  };
  const odd: readonly (readonly [string, unknown, unknown])[] = [
    ['a bigint', 10n ** 20n, '100000000000000000000'],
    ['NaN', NaN, 'NaN'],
    ['a circle', circular, { name: 'loop', self: '[circular]' }],
    ['a getter that throws', hostile, { fine: 1, bad: '[unreadable]' }],
    ['a proxy that throws', new Proxy({}, { ownKeys: () => [][0] as never }), '[unreadable]'],
    ['a date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['no date', new Date(NaN), null],
    ['a map', new Map([[{ a: 1 }, 2]]), { '{"a":1}': 2 }],
    ['a set', new Set([1, 2]), [1, 2]],
    ['bytes', Buffer.from('abc'), '[3 bytes]'],
    ['a symbol', Symbol('s'), 'Symbol(s)'],
    ['a function', () => 1, '[function]'],
    ['a URL', new URL('http://localhost/'), 'http://localhost/'],
    ['a toJSON that throws', { toJSON: () => hostile.bad }, '[unreadable]'],
    ['a toJSON that is none', { toJSON: 1 }, { toJSON: 1 }],
  ];
  for (const [name, value, expected] of odd) {
    it(`writes ${name} without failing`, async () => {
      const collected = collect();
      collected.log.info('odd', { value });
      expect((await only(collected)).value).to.deep.equal(expected);
    });
  }

  it('shortens what is long, many or deep', async () => {
    const collected = collect();
    let deep: unknown = 1;
    for (let i = 0; i < 1000; i++) deep = { deep };
    const many = new Array<number>(100_000).fill(7);
    collected.log.info('big', { text: 'x'.repeat(1_000_000), many, deep });
    const [line = ''] = await collected.lines();
    expect(line.length).to.be.below(10_000);
    expect(line).to.contain('99900 more').and.to.contain('[deep]').and.to.contain('991808 more');
  });

  it('renames fields that would hide its own', async () => {
    const collected = collect();
    collected.log.info('mine', { message: 'theirs', level: 'x', timestamp: 'y', exception: true });
    expect(await only(collected)).to.include({
      message: 'mine',
      level: 'info',
      field_message: 'theirs',
      field_level: 'x',
      field_timestamp: 'y',
      exception: true,
    });
  });

  it('is one line of plain characters for any text and any value', async () => {
    const property = async (message: string, value: unknown): Promise<void> => {
      const collected = collect();
      collected.log.info(message, { value });
      const lines = await collected.lines();
      expect(lines).to.have.length(1);
      expect(lines[0]).to.not.match(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u);
      expect(JSON.parse(lines[0] ?? '')).to.include({ message });
    };
    const text = fc.string({ unit: 'binary' });
    await fc.assert(fc.asyncProperty(text, fc.anything(), property), { numRuns: 300 });
  });

  it('keeps 20,000 lines in order and flushes them at close', async () => {
    const collected = collect();
    for (let i = 0; i < 20_000; i++) collected.log.info('line', { i });
    const lines = await parsed(collected);
    expect(lines.map(({ i }) => i)).to.deep.equal(Array.from({ length: 20_000 }, (_, i) => i));
  });

  it('writes nothing more after close, its children neither', async () => {
    const collected = collect();
    const child = collected.log.child({});
    await collected.log.close();
    child.info('late');
    collected.log.info('late');
    expect(await collected.lines()).to.have.length(0);
  });
});

describe('a log whose reader fails it', () => {
  it('loses lines rather than memory when the reader is slow, and says how many', () => {
    const written: string[] = [];
    let release: () => void = () => undefined;
    const slow = new Writable({
      write(bytes: Buffer, _encoding, next) {
        written.push(bytes.toString());
        release = next;
      },
    });
    const log = createLogger({ level: 'info', format: 'json', stream: slow });
    const text = 'x'.repeat(8000);
    for (let i = 0; i < 3000; i++) log.info('line', { i, text });
    expect(slow.writableLength).to.be.below(9 * 1024 * 1024);
    while (slow.writableLength > 0) release();
    log.info('afterwards');
    while (slow.writableLength > 0) release();
    const loss = JSON.parse(written.at(-2) ?? '') as { level: string; lines: number };
    expect(loss.level).to.equal('warn');
    expect(loss.lines + written.length).to.equal(3000 + 2);
    expect(written.at(-1)).to.contain('afterwards');
  });

  it('lives on when the reader goes away', async () => {
    const stream = new PassThrough();
    const log = createLogger({ level: 'info', format: 'json', stream });
    log.info('one');
    stream.destroy(new Error('EPIPE'));
    await new Promise((resolve) => stream.once('close', resolve));
    log.info('two');
    await log.close();
  });

  it('has written all when it is closed, though the reader takes its time', async () => {
    let lines = 0;
    const slow = new Writable({
      write(_bytes, _encoding, next) {
        setImmediate(() => {
          lines += 1;
          next();
        });
      },
    });
    const log = createLogger({ level: 'info', format: 'json', stream: slow });
    for (let i = 0; i < 100; i++) log.info('line', { i });
    await log.close();
    expect(lines).to.be.at.least(100);
  });

  it('closes within its time when the reader never reads', async () => {
    const stuck = new Writable({ write: () => undefined });
    const log = createLogger({ level: 'info', format: 'json', stream: stuck });
    log.info('one');
    await log.close();
  });
});

describe('a pretty log', () => {
  it('is one readable line', async () => {
    const collected = collect({ format: 'pretty', fields: { node: 'node-1' } });
    collected.log.warn('a node is lost', { term: 3, note: 'two words', ids: [1, 2] });
    const [line] = await collected.lines();
    expect(line).to.match(
      /^\d\d:\d\d:\d\d\.\d{3} WARN {2}a node is lost node=node-1 term=3 note="two words" ids=\[1,2\]$/,
    );
  });

  it('shows an error with its cause, and its stack below', async () => {
    const collected = collect({ format: 'pretty' });
    const cause = new Error('refused');
    collected.log.error('failed', { err: new Error('no database', { cause }) });
    const [first, second] = await collected.lines();
    expect(first).to.contain('err="Error: no database, because of Error: refused"');
    expect(second).to.match(/^ {4}at /);
  });

  it('says no password and no key, wherever they stand', async () => {
    const collected = collect({ format: 'json' });
    const key = `skein_0123456789ab_${'x'.repeat(43)}`;
    const url = 'postgres://skein:hunter2@db:5432/skein';
    const error = new Error(`cannot reach ${url}`, { cause: new Error(`Bearer ${key}`) });
    collected.log.error('failed', { error, password: 'hunter2', api_key: 'hunter2', token: 7 });
    const text = (await collected.lines()).join('\n');
    expect(text).not.to.include('hunter2').and.not.to.include('xxx');
    expect(text)
      .to.include('postgres://skein:***@db:5432/skein')
      .and.include('skein_0123456789ab_***');
    expect(text).to.include('"token":7');
  });

  it('escapes what would move the cursor or forge a line', async () => {
    const collected = collect({ format: 'pretty' });
    collected.log.info('a\nb', { id: '\u001b[2J', '\u0007key': '\u202e', err: new Error('x\ny') });
    const lines = await collected.lines();
    expect(lines[0]).to.contain('a\\u000ab').and.to.contain('\\u001b[2J').and.to.contain('\\u0007');
    expect(lines.join('')).to.not.match(/[\p{Cc}\p{Bidi_Control}]/u);
  });

  describe('in colour', () => {
    const before = process.env.NO_COLOR;
    afterEach(() => {
      if (before === undefined) delete process.env.NO_COLOR;
      else process.env.NO_COLOR = before;
    });
    const table: readonly (readonly [boolean, string | undefined, boolean])[] = [
      [true, undefined, true],
      [true, '', true],
      [true, '1', false],
      [false, undefined, false],
    ];
    for (const [isTTY, noColor, isColoured] of table) {
      const where = isTTY ? 'a terminal' : 'a pipe';
      it(`${isColoured ? 'is' : 'is not'} on ${where} with NO_COLOR=${String(noColor)}`, async () => {
        if (noColor === undefined) delete process.env.NO_COLOR;
        else process.env.NO_COLOR = noColor;
        const collected = collect({ format: 'pretty', isTTY });
        collected.log.info('hello');
        const [line = ''] = await collected.lines();
        expect(line.includes('\u001b')).to.equal(isColoured);
      });
    }
  });
});
