/**
 * How long some tasks were ready before they were given a lease: for people who watch, so that it costs
 * nothing while nobody does. A task that is not sampled is not remembered; how many are is bounded, and a
 * deep queue is therefore told of by those that came last before it was full.
 */
const SAMPLED_MAX = 1000;
const KEPT_MAX = 200;

export class ReadySamples {
  /** All and only the sampled tasks that wait for a slot, by when they became ready. */
  private readonly since = new Map<number, number>();
  private waitsMs: number[] = [];

  becameReady(seq: number, nowMs: number): void {
    if (this.since.size < SAMPLED_MAX) this.since.set(seq, nowMs);
  }

  leased(seq: number, nowMs: number): void {
    const sinceMs = this.since.get(seq);
    if (sinceMs === undefined) return;
    this.since.delete(seq);
    if (this.waitsMs.length < KEPT_MAX) this.waitsMs.push(nowMs - sinceMs);
  }

  ended(seq: number): void {
    this.since.delete(seq);
  }

  /** What was found since it was asked last. */
  take(): readonly number[] {
    const taken = this.waitsMs;
    this.waitsMs = [];
    return taken;
  }
}
