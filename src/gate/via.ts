import { isOnLoopback, type Upstream } from '../policy/upstream.js';
import type { ConnQuestion, Via } from './channel.js';
import { gateHost, isSameHost, placeText } from './names.js';

/** `HOST:PORT`, an IPv6 address in brackets. */
export function upstreamText({ host, port }: Upstream): string {
  return placeText(host, port);
}

/** The client dialled the proxy itself: it is set up for one. */
export function isProxy(upstream: Upstream, { name, ip, port, forward }: Pick<ConnQuestion, 'name' | 'ip' | 'port' | 'forward'>): boolean {
  if (port !== upstream.port) return false;
  return forward ? isOnLoopback(upstream) : isSameHost(name ?? ip, gateHost(upstream.host));
}

/** What the gate says to it on behalf of a connection to that place. `plain`: HTTP whose requests are read, one by one; proxies seldom open a tunnel to port 80. */
export function viaOf({ login }: Upstream, host: string, port: number, plain: boolean): Via {
  const header = login === null ? '' : `Proxy-Authorization: Basic ${Buffer.from(login).toString('base64')}\r\n`;
  const place = placeText(host, port);
  if (!plain) return { tunnel: `CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${header}\r\n` };
  return { prefix: `http://${port === 80 ? place.replace(/:80$/, '') : place}`, ...(header === '' ? {} : { extra: header }) };
}
