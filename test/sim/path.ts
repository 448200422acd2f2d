import type { Rng } from '../../node/base/clock.ts';
import type { Timeline } from './timeline.ts';

/**
 * One direction between two places. What is sent over it arrives in its order; while it is silent it
 * arrives later, as bytes that TCP sends again and again; and who waits longer than the keepalive
 * allows is told that the connection is gone.
 */
export interface PathSettings {
  readonly timeline: Timeline;
  readonly rng: Rng;
  /** Between the last byte that came through and the end of every connection over a silent path. */
  readonly keepaliveMs: number;
}

export class Path {
  /** Added to every message, on top of the tenths of a millisecond of a local network. */
  delayMs = 0;
  isSilent = false;
  private readonly settings: PathSettings;
  private readonly channels = new Set<Channel>();
  private silences = 0;

  constructor(settings: PathSettings) {
    this.settings = settings;
  }

  /** A connection over this path; `onCut` is called once when it is cut or has been silent too long. */
  open(onCut: () => void): Channel {
    const channel = new Channel(this, this.settings.timeline, onCut, () => {
      this.channels.delete(channel);
    });
    this.channels.add(channel);
    return channel;
  }

  silence(): void {
    if (this.isSilent) return;
    this.isSilent = true;
    const silence = (this.silences += 1);
    this.settings.timeline.after(this.settings.keepaliveMs, () => {
      if (this.isSilent && this.silences === silence) this.cut();
    });
  }

  heal(): void {
    this.isSilent = false;
    this.delayMs = 0;
    for (const channel of this.channels) channel.pump();
  }

  /** Every connection over it is reset. */
  cut(): void {
    for (const channel of [...this.channels]) channel.cut();
  }

  drawMs(): number {
    const { rng } = this.settings;
    return 0.05 + rng.random() * 0.2 + (this.delayMs > 0 ? rng.random() * 2 * this.delayMs : 0);
  }
}

/** One direction of one connection. */
export class Channel {
  private readonly path: Path;
  private readonly timeline: Timeline;
  private readonly onCut: () => void;
  private readonly onClosed: () => void;
  private readonly queue: { readonly dueMs: number; readonly action: () => void }[] = [];
  private lastDueMs = 0;
  private isWaiting = false;
  private isClosed = false;

  constructor(path: Path, timeline: Timeline, onCut: () => void, onClosed: () => void) {
    this.path = path;
    this.timeline = timeline;
    this.onCut = onCut;
    this.onClosed = onClosed;
  }

  send(action: () => void): void {
    if (this.isClosed) return;
    this.lastDueMs = Math.max(this.lastDueMs, this.timeline.nowMs + this.path.drawMs());
    this.queue.push({ dueMs: this.lastDueMs, action });
    this.pump();
  }

  pump(): void {
    const [head] = this.queue;
    if (head === undefined || this.isWaiting || this.isClosed) return;
    this.isWaiting = true;
    this.timeline.after(head.dueMs - this.timeline.nowMs, () => {
      this.isWaiting = false;
      if (this.isClosed || this.path.isSilent) return;
      this.queue.shift()?.action();
      this.pump();
    });
  }

  /** What is under way is lost. */
  close(): void {
    this.isClosed = true;
    this.queue.length = 0;
    this.onClosed();
  }

  cut(): void {
    if (this.isClosed) return;
    this.close();
    this.onCut();
  }
}
