import { WebSocket } from 'ws';
import type { Api, Body } from './support.ts';

/** A client of `/ws` that keeps what it hears. */
const DEADLINE_MS = 15_000;

export interface Seen {
  readonly messages: readonly Body[];
  readonly socket: WebSocket;
  say(message: object): void;
  /** The first message, heard or yet to come, that the condition holds for. */
  hear(what: string, condition: (message: Body) => boolean): Promise<Body>;
}

export function connect({ url }: Pick<Api, 'url'>, headers: Record<string, string> = {}): Seen {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers });
  const messages: Body[] = [];
  const listeners = new Set<() => void>();
  socket.on('message', (data: Buffer) => {
    messages.push(JSON.parse(data.toString()) as Body);
    for (const listener of listeners) listener();
  });
  return {
    socket,
    messages,
    say: (message) => {
      socket.send(JSON.stringify(message));
    },
    hear: (what, condition) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = messages.find(condition);
          if (found === undefined) return;
          clearTimeout(timer);
          listeners.delete(look);
          resolve(found);
        };
        const timer = setTimeout(() => {
          reject(new Error(`not heard: ${what}; heard ${JSON.stringify(messages).slice(0, 2000)}`));
        }, DEADLINE_MS);
        listeners.add(look);
        look();
      }),
  };
}

/** Of a type, about a subscription. */
export const isA =
  (type: string, sub = 'a') =>
  (message: Body): boolean =>
    message['type'] === type && message['sub'] === sub;
