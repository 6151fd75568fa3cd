import { usageError } from '../errors.js';
import { canonIp } from '../policy/ip.js';

/** A host port that leads to a port of the sandbox. */
export interface Published {
  readonly addr: string;
  readonly port: number;
  readonly inside: number;
}

/** `[ADDR:]HOST[:SANDBOX]`, as docker says it; 127.0.0.1 and the same port by default. */
export function parsePublish(text: string): Published {
  const found = /^(?:(\[[^\]]+\]|[^:[\]]+\.[^:[\]]*):)?(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  const addr = found?.[1] === undefined ? '127.0.0.1' : canonIp(found[1]);
  const port = Number(found?.[2] ?? NaN);
  const inside = Number(found?.[3] ?? port);
  if (found === null || addr === null || !isPort(port) || !isPort(inside)) {
    throw usageError(`--publish ${text} is not [ADDR:]HOST[:SANDBOX].`, 'For example: --publish 3000, --publish 8080:3000, --publish 0.0.0.0:8080:3000');
  }
  return { addr, port, inside };
}

/** `PORT[:HOSTPORT]` of `--connect-host`: the sandbox's own loopback port → the host's. */
export function parseConnectHost(text: string): { readonly port: number; readonly to: number } {
  const found = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text);
  const port = Number(found?.[1] ?? NaN);
  const to = Number(found?.[2] ?? port);
  if (!isPort(port) || !isPort(to)) throw usageError(`--connect-host ${text} is not PORT[:HOSTPORT].`, 'For example: --connect-host 5432');
  return { port, to };
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1 && port <= 65_535;
}
