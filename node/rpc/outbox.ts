/** The part of a stream that an outbox writes to. */
export interface FrameStream<Frame> {
  write(frame: Frame, onWritten: (error?: Error | null) => void): boolean;
  once(event: 'drain', listener: () => void): unknown;
  end(): unknown;
}

export interface OutboxBounds {
  readonly framesMax: number;
  readonly bytesMax: number;
}

/**
 * A link's frames are hints, and PostgreSQL holds what they tell: past these bounds the peer has not
 * read for so long that the link is worth less than the memory.
 */
export const OUTBOX_BOUNDS: OutboxBounds = { framesMax: 4096, bytesMax: 32 * 1024 * 1024 };

/**
 * Sends frames in order, never faster than the stream takes them. What the stream does not take
 * waits here, up to the bounds; a frame counts until its bytes have left this process.
 */
export class Outbox<Frame> {
  private readonly stream: FrameStream<Frame>;
  private readonly bounds: OutboxBounds;
  private readonly waiting: { readonly frame: Frame; readonly bytes: number }[] = [];
  private isBlocked = false;
  private isEnding = false;
  private hasEnded = false;
  private isDropped = false;
  private frames = 0;
  private bytes = 0;

  constructor(stream: FrameStream<Frame>, bounds: OutboxBounds = OUTBOX_BOUNDS) {
    this.stream = stream;
    this.bounds = bounds;
  }

  /** False: a bound is passed, and the link must go. A frame after the end is dropped silently. */
  push(frame: Frame, bytes: number): boolean {
    if (this.isEnding || this.isDropped) return true;
    this.frames += 1;
    this.bytes += bytes;
    // One frame alone always passes: its size is the business of the receiver's limit.
    const isOver = this.frames > this.bounds.framesMax || this.bytes > this.bounds.bytesMax;
    if (isOver && this.frames > 1) return false;
    this.waiting.push({ frame, bytes });
    this.flush();
    return true;
  }

  /** Ends the stream after what waits. */
  end(): void {
    if (this.isEnding || this.isDropped) return;
    this.isEnding = true;
    this.flush();
  }

  /** Forgets what waits; the stream is somebody else's to end. */
  drop(): void {
    this.isDropped = true;
    this.waiting.length = 0;
  }

  private flush(): void {
    while (!this.isBlocked && !this.isDropped) {
      const next = this.waiting.shift();
      if (next === undefined) break;
      const hasRoom = this.stream.write(next.frame, () => {
        this.frames -= 1;
        this.bytes -= next.bytes;
      });
      if (!hasRoom) this.waitForDrain();
    }
    if (!this.isEnding || this.hasEnded || this.isDropped || this.waiting.length > 0) return;
    this.hasEnded = true;
    this.stream.end();
  }

  private waitForDrain(): void {
    this.isBlocked = true;
    this.stream.once('drain', () => {
      this.isBlocked = false;
      this.flush();
    });
  }
}
