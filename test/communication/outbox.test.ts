// Goal: an outbox never runs ahead of its stream, and never holds more than its bounds.
// Method: a stream of the test's own that takes frames, and drains, when the test says so.
import { expect } from 'chai';
import { Outbox } from '../../node/rpc/outbox.ts';

class TestStream {
  readonly taken: string[] = [];
  hasRoom = true;
  ends = 0;
  private readonly written: (() => void)[] = [];
  private onDrain: (() => void) | undefined;

  write(frame: string, onWritten: () => void): boolean {
    this.taken.push(frame);
    this.written.push(onWritten);
    return this.hasRoom;
  }

  once(_event: 'drain', listener: () => void): void {
    this.onDrain = listener;
  }

  end(): void {
    this.ends += 1;
  }

  /** The bytes of all taken frames have left. */
  finishWrites(): void {
    for (const done of this.written.splice(0)) done();
  }

  drain(): void {
    const listener = this.onDrain;
    this.onDrain = undefined;
    listener?.();
  }
}

describe('an outbox', () => {
  const setup = (framesMax = 10, bytesMax = 1000) => {
    const stream = new TestStream();
    return { stream, outbox: new Outbox<string>(stream, { framesMax, bytesMax }) };
  };

  it('keeps frames back until a full stream drains, in order', () => {
    const { stream, outbox } = setup();
    stream.hasRoom = false;
    for (const frame of ['a', 'b', 'c']) outbox.push(frame, 1);
    expect(stream.taken).to.deep.equal(['a']);
    stream.drain();
    expect(stream.taken).to.deep.equal(['a', 'b']);
    stream.hasRoom = true;
    stream.drain();
    outbox.push('d', 1);
    expect(stream.taken).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('counts a frame until its bytes have left', () => {
    const { stream, outbox } = setup(2);
    expect(outbox.push('a', 1)).to.equal(true);
    expect(outbox.push('b', 1)).to.equal(true);
    expect(outbox.push('c', 1)).to.equal(false);
    const fresh = setup(2);
    for (let i = 0; i < 10; i++) {
      expect(fresh.outbox.push('a', 1)).to.equal(true);
      fresh.stream.finishWrites();
    }
    expect(stream.taken).to.deep.equal(['a', 'b']);
  });

  it('is bound by bytes too, though one frame alone always passes', () => {
    const { stream, outbox } = setup(10, 100);
    expect(outbox.push('huge', 500)).to.equal(true);
    expect(outbox.push('more', 1)).to.equal(false);
    stream.finishWrites();
    const fresh = setup(10, 100);
    expect(fresh.outbox.push('a', 60)).to.equal(true);
    expect(fresh.outbox.push('b', 60)).to.equal(false);
  });

  it('ends its stream once, after all that waits', () => {
    const { stream, outbox } = setup();
    stream.hasRoom = false;
    outbox.push('a', 1);
    outbox.push('b', 1);
    outbox.end();
    outbox.end();
    outbox.push('late', 1);
    expect(stream.ends).to.equal(0);
    stream.drain();
    stream.drain();
    outbox.end();
    expect(stream.taken).to.deep.equal(['a', 'b']);
    expect(stream.ends).to.equal(1);
  });

  it('forgets what waits when it is dropped, and leaves the stream alone', () => {
    const { stream, outbox } = setup();
    stream.hasRoom = false;
    outbox.push('a', 1);
    outbox.push('b', 1);
    outbox.drop();
    outbox.push('c', 1);
    outbox.end();
    stream.drain();
    expect(stream.taken).to.deep.equal(['a']);
    expect(stream.ends).to.equal(0);
  });
});
