/**
 * Sends what there is when the last batch has been written: one message at a time while little is said,
 * many in one where there is much. A channel that is closed takes nothing, and its end is heard elsewhere.
 */
export class BatchSender<Message> {
  private readonly write: (batch: readonly Message[], onWritten: () => void) => void;
  private pending: Message[] = [];
  private isWriting = false;

  constructor(write: (batch: readonly Message[], onWritten: () => void) => void) {
    this.write = write;
  }

  add(message: Message): void {
    this.pending.push(message);
    if (this.isWriting) return;
    this.isWriting = true;
    // What else is said in this tick travels along.
    queueMicrotask(() => this.next());
  }

  private next(): void {
    const batch = this.pending;
    this.pending = [];
    if (batch.length === 0) {
      this.isWriting = false;
      return;
    }
    this.write(batch, () => this.next());
  }
}
