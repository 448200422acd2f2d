import type { Rng } from '../../node/base/clock.ts';
import type { LeaderStream } from '../../node/cluster/leader-contact.ts';
import type { FromLeader, FromNode } from '../../node/core/messages.ts';
import type { LinkHandlers, LinkToNode } from '../../node/leader/ports.ts';
import type { DialOptions } from '../../node/surroundings.ts';
import type { Channel, Path } from './path.ts';
import type { SimProcess } from './process.ts';

/** One end of a stream between two nodes. */
export interface PeerPlace {
  readonly process: SimProcess;
  accept(link: LinkToNode): LinkHandlers | { readonly refused: string };
}

/** What a wire does beyond what TCP would: each frame may be lost or come twice. */
export interface Mischief {
  lose: number;
  repeat: number;
}

export interface PeerWireDeps {
  readonly from: SimProcess;
  /** Undefined where nobody listens at the address. */
  readonly to: PeerPlace | undefined;
  readonly out: Path;
  readonly back: Path;
  readonly rng: Rng;
  readonly mischief: Mischief;
  readonly options: DialOptions;
}

/**
 * One stream, as node/rpc gives it: frames in their order, each at most once unless there is mischief,
 * the end told exactly once on each side, and never inside a call of a role's own.
 */
export class PeerWire implements LeaderStream {
  readonly lastHeardMs: () => number;
  private readonly deps: PeerWireDeps;
  private readonly out: Channel;
  private readonly back: Channel;
  private handlers: LinkHandlers | undefined;
  private heardMs: number;
  private sent = 0;
  private isOverHere = false;
  private isOverThere = false;
  private readonly cancelConnect: () => void;

  constructor(deps: PeerWireDeps) {
    this.deps = deps;
    const { from, to, options } = deps;
    this.heardMs = from.clock.monotonicMs();
    this.lastHeardMs = () => this.heardMs;
    const cut = (): void => {
      this.endHere('the connection was reset');
      this.endThere();
    };
    this.out = deps.out.open(cut);
    this.back = deps.back.open(cut);
    this.cancelConnect = from.clock.after(options.connectTimeoutMs, () => {
      this.endHere('no answer to the dial');
      this.leave();
    });
    from.onExit(() => {
      this.isOverHere = true;
      this.leave();
    });
    to?.process.onExit(() => {
      this.isOverThere = true;
      this.back.send(() => {
        this.endHere('the peer is gone');
      });
    });
    this.out.send(() => {
      this.reach();
    });
  }

  send(frame: FromNode): void {
    if (this.isOverHere) return;
    this.maybeTwice(() => {
      this.out.send(() => {
        this.deps.to?.process.deliver(() => {
          if (!this.isOverThere) this.handlers?.onMessage(frame);
        });
      });
    });
  }

  close(): void {
    if (this.isOverHere) return;
    this.leave();
    this.endHere('closed by this node');
  }

  private reach(): void {
    const { to, options } = this.deps;
    if (to === undefined || to.process.isDead) {
      this.back.send(() => {
        this.endHere('connect ECONNREFUSED');
      });
      return;
    }
    to.process.deliver(() => {
      const answer = to.accept({
        hello: options.hello,
        send: (frame) => this.sendBack(frame),
        close: () => {
          this.closeThere();
        },
      });
      if ('refused' in answer) {
        this.isOverThere = true;
        this.back.send(() => {
          this.endHere(`refused: ${answer.refused}`);
        });
        return;
      }
      this.handlers = answer;
    });
  }

  private sendBack(frame: Omit<FromLeader, 'number'>): number {
    this.sent += 1;
    const number = this.sent;
    if (this.isOverThere) return number;
    const isFirst = number === 1;
    const send = (): void => {
      this.back.send(() => {
        this.deps.from.deliver(() => {
          if (this.isOverHere) return;
          this.cancelConnect();
          this.heardMs = this.deps.from.clock.monotonicMs();
          this.deps.options.onMessage({ ...frame, number });
        });
      });
    };
    if (isFirst) send();
    else this.maybeTwice(send);
    return number;
  }

  private maybeTwice(send: () => void): void {
    const { mischief, rng } = this.deps;
    if (mischief.lose > 0 && rng.random() < mischief.lose) return;
    send();
    if (mischief.repeat > 0 && rng.random() < mischief.repeat) send();
  }

  /** The accepting side ends the stream after what it has sent. */
  private closeThere(): void {
    if (this.isOverThere) return;
    this.back.send(() => {
      this.endHere('ended by the leader');
    });
    this.endThere();
  }

  /** The dialling side ends the stream after what it has sent. */
  private leave(): void {
    this.out.send(() => {
      this.endThere();
      this.out.close();
    });
  }

  private endHere(reason: string): void {
    this.deps.from.deliver(() => {
      if (this.isOverHere) return;
      this.isOverHere = true;
      this.cancelConnect();
      this.back.close();
      this.deps.options.onClosed(reason);
    });
  }

  private endThere(): void {
    if (this.isOverThere) return;
    this.isOverThere = true;
    this.deps.to?.process.deliver(() => this.handlers?.onClosed());
  }
}
