import { AgentfwError } from '../errors.js';
import type { Channel, GateCommand, GateMessage } from './channel.js';

type DoorMessage = Extract<GateMessage, { t: 'door' }>;

/** Ports that lead into the sandbox or out of its loopback, as they are opened. */
export interface Doors {
  /** settles when the gate has answered; an `error` there is not thrown */
  readonly open: (command: (id: number) => GateCommand) => Promise<DoorMessage>;
  readonly answered: (message: DoorMessage) => void;
}

/** `open` rejects when the gate ends first. */
export function makeDoors(channel: Channel): Doors {
  const waiting = new Map<number, (message: DoorMessage) => void>();
  let next = 1;
  return {
    open: (command) => {
      const id = next;
      next += 1;
      return new Promise((resolve, reject) => {
        waiting.set(id, resolve);
        void channel.ended.then(() => reject(new Error('the gate has ended')));
        channel.send(command(id));
      });
    },
    answered: (message) => waiting.get(message.id)?.(message),
  };
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'Another program has that port: choose another'],
  ['EACCES', 'A port that low is for root alone: choose another'],
  ['EADDRNOTAVAIL', 'No interface of this host has that address: ip address shows those it has'],
]);

/** `AFW_PUBLISH`, status 125; `error` is the errno of bind(2) or listen(2) as the gate told it. */
export function doorFailed(what: string, error: string): AgentfwError {
  return new AgentfwError('AFW_PUBLISH', `Can't ${what}: ${error}`, { status: 125, hint: HINTS.get(error) ?? 'Choose another address or port' });
}
