import type { Follow, FromNode, News } from './core/messages.ts';

/** The news that a node's stream brings, across incarnations: listeners stay, streams come and go. */
type EndedListener = (seqs: readonly number[], codes: readonly number[]) => void;

/** What carries subscriptions to the leader: the present incarnation's stream. */
interface Subscriber {
  say(hint: Pick<FromNode, 'watch' | 'unwatch' | 'follow'>): void;
  readonly isLinked: boolean;
}

export class Feed {
  private readonly current: () => Subscriber | undefined;
  private readonly endedListeners = new Set<EndedListener>();
  private readonly termListeners = new Set<() => void>();
  private readonly newsListeners = new Set<(news: News) => void>();

  constructor(current: () => Subscriber | undefined) {
    this.current = current;
  }

  watch(seqs: readonly number[]): void {
    this.current()?.say({ watch: seqs });
  }

  unwatch(seqs: readonly number[]): void {
    this.current()?.say({ unwatch: seqs });
  }

  follow(follow: Follow): void {
    this.current()?.say({ follow });
  }

  /** Whether a leader was heard lately. */
  get isLinked(): boolean {
    return this.current()?.isLinked ?? false;
  }

  onNews(listener: (news: News) => void): () => void {
    this.newsListeners.add(listener);
    return () => this.newsListeners.delete(listener);
  }

  onEnded(listener: EndedListener): () => void {
    this.endedListeners.add(listener);
    return () => this.endedListeners.delete(listener);
  }

  onTerm(listener: () => void): () => void {
    this.termListeners.add(listener);
    return () => this.termListeners.delete(listener);
  }

  tellEnded(seqs: readonly number[], codes: readonly number[]): void {
    for (const listener of this.endedListeners) listener(seqs, codes);
  }

  tellNews(news: News): void {
    for (const listener of this.newsListeners) listener(news);
  }

  tellTerm(): void {
    for (const listener of this.termListeners) listener();
  }
}
