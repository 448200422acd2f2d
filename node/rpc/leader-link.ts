import { credentials, Metadata, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import { toError } from '../base/errors.ts';
import type { FromLeader, FromNode, Hello } from '../core/messages.ts';
import { bytesOfFromNode, parseFromLeader, toWireFromNode } from './frames.ts';
import type { FromLeader__Output } from './generated/skein/v1/FromLeader.ts';
import type { FromNode as WireFromNode } from './generated/skein/v1/FromNode.ts';
import type { PeerClient } from './generated/skein/v1/Peer.ts';
import { Outbox, OUTBOX_BOUNDS } from './outbox.ts';
import type { OutboxBounds } from './outbox.ts';
import { CHANNEL_OPTIONS, peerPackage } from './peer-package.ts';
import { NODE_NAME, OPEN, readClusterFiles, SECRET_HEADER } from './peer-security.ts';
import type { PeerSecurity } from './peer-security.ts';
import type { LinkLog } from './ports.ts';

/**
 * The node's end of a link (peer-server.ts says what a link is). One dial, one connection, one
 * stream: a link is never mended. When it ends its connection is closed, and whoever wants another
 * dials anew, so that no state of a dead one is ever inherited.
 */
export interface DialOptions {
  /** `host:port`. */
  readonly address: string;
  readonly hello: Hello;
  /** From the dial to the leader's acceptance. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly log: LinkLog;
  readonly onMessage: (message: FromLeader) => void;
  /**
   * Exactly once, also when the dial fails or `close` was called; never inside a call of the role's
   * own. After it, and after `close`, no message is delivered.
   */
  readonly onClosed: (reason: string) => void;
  readonly outboxBounds?: OutboxBounds;
  readonly security?: PeerSecurity;
}

export interface LinkToLeader {
  /** Frames wait until the link is up. On a closed link nothing is sent. */
  send(frame: FromNode): void;
  /** Ends the link after what was sent; a leader that does not answer is left after 500 ms. */
  close(): void;
  /** The clock's reading at the last frame of the leader; at the dial as long as there was none. */
  readonly lastHeardMs: () => number;
}

/** Never throws for an address that is none or cannot be reached: `onClosed` says so. */
export function dialLeader(options: DialOptions): LinkToLeader {
  let client: PeerClient;
  try {
    const { Peer } = peerPackage();
    const { clusterDir } = options.security ?? OPEN;
    client =
      clusterDir === null
        ? new Peer(options.address, credentials.createInsecure(), CHANNEL_OPTIONS)
        : new Peer(options.address, securedBy(clusterDir), {
            ...CHANNEL_OPTIONS,
            'grpc.ssl_target_name_override': NODE_NAME,
            'grpc.default_authority': NODE_NAME,
          });
  } catch (thrown) {
    return stillbornLink(options, toError(thrown).message);
  }
  return new DialledLink(options, client);
}

/** Read for each dial, so that a certificate that was replaced is taken at the next one. */
function securedBy(folder: string): ChannelCredentials {
  const { ca, cert, key } = readClusterFiles(folder);
  return credentials.createSsl(ca, key, cert);
}

function stillbornLink({ clock, onClosed }: DialOptions, reason: string): LinkToLeader {
  const dialledMs = clock.monotonicMs();
  queueMicrotask(() => {
    onClosed(reason);
  });
  return { send: () => undefined, close: () => undefined, lastHeardMs: () => dialledMs };
}

/** How long a closed link may take to send what waits in it. */
const CLOSE_WITHIN_MS = 500;

class DialledLink implements LinkToLeader {
  private readonly options: DialOptions;
  private readonly client: PeerClient;
  private readonly stream: ClientDuplexStream<WireFromNode, FromLeader__Output>;
  private readonly outbox: Outbox<WireFromNode>;
  private cancelTimer: () => void;
  private heardMs: number;
  /** Why this side ends the link; the stream's own status speaks otherwise. */
  private reason: string | undefined;
  private hasEnded = false;

  constructor(options: DialOptions, client: PeerClient) {
    this.options = options;
    this.heardMs = options.clock.monotonicMs();
    this.client = client;
    const metadata = new Metadata();
    const { secret } = options.security ?? OPEN;
    if (secret !== null) metadata.set(SECRET_HEADER, secret);
    this.stream = this.client.Link(metadata);
    this.outbox = new Outbox(this.stream, options.outboxBounds ?? OUTBOX_BOUNDS);
    this.listen();
    this.cancelTimer = options.clock.after(options.connectTimeoutMs, () => {
      this.abandon(`not accepted within ${String(options.connectTimeoutMs)} ms`);
    });
    this.send({ hello: options.hello });
  }

  readonly lastHeardMs = (): number => this.heardMs;

  send(frame: FromNode): void {
    if (this.reason !== undefined || this.hasEnded) return;
    if (this.outbox.push(toWireFromNode(frame), bytesOfFromNode(frame))) return;
    this.options.log.warn('the leader does not read its stream; the link is cut', this.fields());
    this.abandon('the leader does not read its stream');
  }

  close(): void {
    if (this.reason !== undefined || this.hasEnded) return;
    this.reason = 'closed by this node';
    this.outbox.end();
    this.cancelTimer();
    this.cancelTimer = this.options.clock.after(CLOSE_WITHIN_MS, () => {
      this.stream.cancel();
      this.end();
    });
  }

  private listen(): void {
    // The headers are the leader's acceptance.
    this.stream.on('metadata', () => {
      if (this.reason === undefined) this.cancelTimer();
    });
    this.stream.on('data', (wire: FromLeader__Output) => {
      this.onFrame(wire);
    });
    // An error is told by the status too, but one without a listener would be thrown.
    this.stream.on('error', () => undefined);
    this.stream.on('status', (ended: StatusObject) => {
      this.onStatus(ended);
    });
  }

  private onFrame(wire: FromLeader__Output): void {
    if (this.reason !== undefined || this.hasEnded) return;
    this.heardMs = this.options.clock.monotonicMs();
    const parsed = parseFromLeader(wire);
    if (parsed.fault === undefined) {
      this.options.onMessage(parsed.frame);
      return;
    }
    this.options.log.warn('the leader sent a frame that makes no sense; the link is cut', {
      ...this.fields(),
      fault: parsed.fault,
    });
    this.abandon(`a frame that makes no sense: ${parsed.fault}`);
  }

  /** The last word of a stream, after all its frames. */
  private onStatus(ended: StatusObject): void {
    this.reason ??= describe(ended);
    this.end();
  }

  private abandon(reason: string): void {
    if (this.reason !== undefined || this.hasEnded) return;
    this.reason = reason;
    this.stream.cancel();
    this.end();
  }

  private end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.cancelTimer();
    this.outbox.drop();
    this.client.close();
    const reason = this.reason ?? 'unknown';
    this.options.log.debug('a link to the leader has ended', { ...this.fields(), reason });
    queueMicrotask(() => {
      this.options.onClosed(reason);
    });
  }

  private fields(): Readonly<Record<string, unknown>> {
    return { address: this.options.address };
  }
}

function describe({ code, details }: StatusObject): string {
  if (code === status.OK) return 'ended by the leader';
  if (code === status.FAILED_PRECONDITION) return `refused: ${details}`;
  return `${status[code]}: ${details}`;
}
