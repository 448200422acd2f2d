import type { Follow, FromLeader, FromNode, Hello } from '../../node/core/messages.ts';
import { NO_PROSPECT } from '../../node/core/prospect.ts';
import { Mailbox } from '../../node/leader/mailbox.ts';
import type { LinkHandlers, LinkToNode, ReaderPort } from '../../node/leader/ports.ts';
import { Roster } from '../../node/leader/roster.ts';
import { Unanswered } from '../../node/leader/until-done.ts';
import { FakeClock } from '../support/fake-clock.ts';

/** A node's end of a stream to the leader, spoken by the test. */
export class FakeLink implements LinkToNode {
  readonly hello: Hello;
  readonly frames: Omit<FromLeader, 'number'>[] = [];
  isClosed = false;
  handlers: LinkHandlers | undefined;

  constructor(nodeId: number, hello: Partial<Hello> = {}) {
    const name = `node-${String(nodeId)}`;
    this.hello = {
      nodeId,
      incarnation: name,
      name,
      slots: 4,
      types: ['noop'],
      simulates: false,
      version: '0',
      termSeen: 1,
      ...hello,
    };
  }

  send(frame: Omit<FromLeader, 'number'>): number {
    return this.frames.push(frame);
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    queueMicrotask(() => this.handlers?.onClosed());
  }

  says(message: FromNode): void {
    this.handlers?.onMessage(message);
  }

  beats(number: number, processed: number, seqs: readonly number[] = []): void {
    const leaseSeqs = seqs.map(() => 1);
    this.says({ heartbeat: { number, processed, draining: false, seqs, leaseSeqs } });
  }
}

/** The roster of a leader of term 1 on a clock that the test moves. */
export function setup() {
  const clock = new FakeClock();
  const mailbox = new Mailbox(clock);
  const lines: string[] = [];
  const line = (message: string): void => {
    lines.push(message);
  };
  const term = new AbortController();
  const unlinked: string[] = [];
  const followed: (readonly [number, Follow | null])[] = [];
  const trust = { holds: true };
  const roster = new Roster({
    clock,
    rng: { random: () => 0.5 },
    log: { debug: line, info: line, warn: line, error: line },
    reader: {
      handledTypes: () => Promise.resolve(new Map([['noop', 1]])),
      gatedTypes: () => Promise.resolve({ pausedIds: [], limitedIds: [], limits: [] }),
    } as unknown as ReaderPort,
    leadership: { term: 1, signal: term.signal, isTrusted: () => trust.holds },
    mailbox,
    unanswered: new Unanswered(clock),
    isDeposedError: () => false,
    onDeposed: line,
    onLook: () => undefined,
    prospect: ({ number, seq }) => ({
      ...NO_PROSPECT,
      number,
      atMs: 0,
      ahead: seq,
      typeMeansMs: [],
    }),
    onFollow: (nodeId, follow) => followed.push([nodeId, follow]),
    onNodesChanged: () => unlinked.push('nodes changed'),
    onUnlinked: () => unlinked.push('unlinked'),
  });
  /** Joins a node and answers its link, or why it was refused. */
  const join = async (nodeId: number, hello: Partial<Hello> = {}): Promise<FakeLink> => {
    const link = new FakeLink(nodeId, hello);
    const accepted = roster.accept(link);
    if ('refused' in accepted) throw new Error(accepted.refused);
    link.handlers = accepted;
    await clock.advance(0);
    mailbox.take();
    return link;
  };
  return { clock, mailbox, roster, join, lines, term, trust, unlinked, followed };
}
