import { expect } from 'chai';
import { shownBytes } from '../../node/handlers/bytes.ts';
import { LineSplitter, OutputTail } from '../../node/handlers/output.ts';

/** Goal: what a command writes is kept within bounds, and read as what it is. Method: tables. */
describe('the tail of an output', () => {
  const tailOf = (bytesMax: number, ...chunks: readonly string[]): string => {
    const tail = new OutputTail(bytesMax);
    for (const chunk of chunks) tail.push(Buffer.from(chunk));
    expect(tail.total).to.equal(chunks.join('').length);
    return tail.bytes().toString();
  };

  it('is all of a short one, and the end of a long one', () => {
    expect(tailOf(4)).to.equal('');
    expect(tailOf(4, 'ab', 'cd')).to.equal('abcd');
    expect(tailOf(4, 'abc', 'def')).to.equal('cdef');
    expect(tailOf(4, 'abcdefghijklmnop', 'q')).to.equal('nopq');
    expect(tailOf(4, 'abc', 'd', 'e', 'fg', 'h', 'i', 'j', 'k', 'lm', 'n', 'o', 'p')).to.equal(
      'mnop',
    );
  });

  it('holds no more than twice of what it keeps', () => {
    const tail = new OutputTail(1000);
    for (let i = 0; i < 100_000; i++) tail.push(Buffer.alloc(100));
    const chunks = (tail as unknown as { readonly chunks: readonly Buffer[] }).chunks;
    expect(chunks.reduce((sum, { length }) => sum + length, 0)).to.be.at.most(2000);
  });
});

describe('bytes in a result', () => {
  const cases: readonly (readonly [string, Buffer, object])[] = [
    ['text', Buffer.from('grün'), { text: 'grün' }],
    ['no text', Buffer.from([0xff, 0xfe]), { text: '//4=', encoding: 'base64' }],
    ['NUL', Buffer.from('a\0b'), { text: 'YQBi', encoding: 'base64' }],
    ['a character that was cut at the end', Buffer.from('ab€').subarray(0, 4), { text: 'ab' }],
    ['a character that was cut at the start', Buffer.from('€ab').subarray(1), { text: 'ab' }],
    ['nothing', Buffer.alloc(0), { text: '' }],
    ['what is too long as JSON', Buffer.from('\x01\x01'), { text: 'AQE=', encoding: 'base64' }],
  ];
  for (const [name, bytes, expected] of cases) {
    it(`are shown where they are ${name}`, () => {
      expect(shownBytes(bytes, 12)).to.deep.equal(expected);
    });
  }
});

describe('the lines of an output', () => {
  const linesOf = (lengthMax: number, ...chunks: readonly (string | Buffer)[]): string[] => {
    const lines: string[] = [];
    const splitter = new LineSplitter(lengthMax, (line) => lines.push(line));
    for (const chunk of chunks) splitter.push(Buffer.from(chunk));
    splitter.end();
    return lines;
  };

  it('come out whole, whatever the chunks were', () => {
    expect(linesOf(100, 'one\ntw', 'o\r\n\nth', 'ree')).to.deep.equal(['one', 'two', '', 'three']);
    const euro = Buffer.from('€\n');
    expect(linesOf(100, euro.subarray(0, 1), euro.subarray(1))).to.deep.equal(['€']);
  });

  it('are cut where they do not end', () => {
    expect(linesOf(4, 'abcdefghij', 'kl\nm\n')).to.deep.equal(['abcd', 'efgh', 'ijkl', 'm']);
  });
});
