import { listeningPorts } from '../kernel/listeners.js';

/** `http://localhost:11434/v1`, `127.0.0.1:11434`, `postgres://u@[::1]:5432/db` */
const ON_LOOPBACK = /^(?:([a-z][a-z\d+.-]*):\/\/(?:[^@/?#]*@)?)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::(\d{1,5}))?(?:[/?#]|$)/i;
const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, ws: 80, https: 443, wss: 443 };
/** The gate speaks of these itself (`network.upstream`). */
const PROXIES = /_?proxy$/i;

/**
 * Servers of this machine that variables of the agent lead to, such as a model's, and that it will not
 * reach: inside, the loopback is its own. Only ports that something listens on now. For people.
 */
export function outOfReach(env: Readonly<Record<string, string>>, connectHost: ReadonlyMap<number, number>, listening: () => ReadonlySet<number> = listeningPorts): readonly string[] {
  const wanted = Object.entries(env).flatMap(([name, value]) => {
    const port = PROXIES.test(name) ? null : portIn(value);
    return port === null || connectHost.has(port) ? [] : [{ name, port }];
  });
  if (wanted.length === 0) return [];
  const ports = listening();
  return wanted.filter(({ port }) => ports.has(port)).map(({ name, port }) => `${name} leads to port ${port} of this machine, which the agent reaches with --connect-host ${port} alone`);
}

function portIn(value: string): number | null {
  const [whole, scheme = '', port] = ON_LOOPBACK.exec(value) ?? [];
  if (whole === undefined) return null;
  return port === undefined ? (DEFAULT_PORTS[scheme.toLowerCase()] ?? null) : Number(port);
}
