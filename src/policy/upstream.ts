import { canonHost } from './host.js';
import { addressesIn, canonIp, canonNet, isInNet } from './ip.js';

/** An HTTP proxy that leads out; `network.upstream`. */
export interface Upstream {
  readonly host: string;
  readonly port: number;
  /** `user:password`, of the environment only */
  readonly login: string | null;
  /** what is reached without it, as NO_PROXY says it */
  readonly direct: readonly string[];
}

/** A proxy as it is written in a policy, or why it is none. */
export type UpstreamText = { readonly ok: true; readonly value: Upstream } | { readonly ok: false; readonly why: string; readonly hint: string };

type Env = Readonly<Record<string, string | undefined>>;

const NAMES = ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY', 'http_proxy', 'HTTP_PROXY'] as const;

/** The variable that names this machine's proxy; null: none does. */
export function proxyVariable(env: Env): string | null {
  return NAMES.find((name) => (env[name] ?? '') !== '') ?? null;
}

/** Such a variable, as a program would read it. */
export function isProxyVariable(name: string): boolean {
  return NAMES.some((one) => one === name);
}

/** The setting, `environment` or a URL, read with the environment; null: nothing stands in between. */
export function upstreamOf(setting: string, env: Env): UpstreamText | null {
  const name = setting === 'environment' ? proxyVariable(env) : null;
  if (setting === 'environment' && name === null) return null;
  const parsed = parseUpstream(name === null ? setting : (env[name] ?? ''), env['no_proxy'] ?? env['NO_PROXY'] ?? '');
  if (!parsed.ok && name !== null) return { ...parsed, why: `${name}: ${parsed.why}` };
  return parsed;
}

/** `http://proxy.corp.example:3128`, and what `NO_PROXY` says. */
export function parseUpstream(text: string, without = ''): UpstreamText {
  const found = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:([^@/]*)@)?(\[[0-9a-f:.]+\]|[^:/?#]+):(\d{1,5})\/?$/i.exec(text);
  const hint = 'Write http://HOST:PORT, as in http://proxy.corp.example:3128.';
  if (found === null) return { ok: false, why: 'it is no URL of an HTTP proxy with its port', hint };
  const [, scheme = 'http', login, name = ''] = found;
  if (scheme.toLowerCase() !== 'http') return { ok: false, why: `a proxy that is spoken to by ${scheme}:// is not known`, hint };
  const host = canonHost(name.replace(/^\[|\]$/g, ''));
  const port = Number(found[4]);
  if (host.kind === 'bad' || port < 1 || port > 65_535) return { ok: false, why: 'it names no host and port', hint };
  const direct = without.split(/[\s,]+/).filter((word) => word !== '').map((word) => word.toLowerCase());
  return { ok: true, value: { host: host.kind === 'name' ? host.name : host.ip, port, login: login === undefined ? null : decoded(login), direct } };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A helper on this machine, as for NTLM: the sandbox's own loopback has to lead to it. */
export function isOnLoopback({ host }: Upstream): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Names that each machine knows for itself: the proxy's are others. */
const OWN_NAMES = /(^|\.)(localhost|local|internal)$/;

/** What goes through it. */
export function isOver(upstream: Upstream, host: string, port: number): boolean {
  const isIp = canonIp(host) !== null;
  if (isIp) {
    if (addressesIn(host).some((ip) => ip === '::1' || isInNet(ip, '127.0.0.0/8') || isInNet(ip, '169.254.0.0/16') || isInNet(ip, 'fe80::/10'))) return false;
  } else if (!host.includes('.') || OWN_NAMES.test(host)) return false;
  return !upstream.direct.some((word) => (word.includes('/') ? isIp && isInside(word, host) : matches(word, host, port)));
}

/** As curl and most others read a word of NO_PROXY: a domain is what is below it, too. */
function matches(word: string, host: string, port: number): boolean {
  if (word === '*') return true;
  const [, name = '', only] = /^\[?([^[\]]*?)\]?(?::(\d+))?$/.exec(canonHost(word).kind === 'ip' ? `[${word}]` : word) ?? [];
  if (only !== undefined && Number(only) !== port) return false;
  const domain = name.replace(/^\*?\./, '').replace(/\.$/, '');
  return domain !== '' && (host === domain || host.endsWith(`.${domain}`));
}

function isInside(word: string, ip: string): boolean {
  const net = canonNet(word);
  return net.ok && addressesIn(ip).some((one) => isInNet(one, net.net));
}
