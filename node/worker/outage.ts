/**
 * Since when the database has answered nothing that this worker asked: monotonic milliseconds, counted
 * from the first request that failed; undefined while it answers. What fails is tried again until it
 * is answered, so an outage that is over always shows as over.
 */
export class Outage {
  private since: number | undefined;

  get sinceMs(): number | undefined {
    return this.since;
  }

  failed(askedMs: number): void {
    this.since ??= askedMs;
  }

  answered(): void {
    this.since = undefined;
  }
}
