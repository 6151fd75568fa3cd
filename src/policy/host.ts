import { domainToASCII } from 'node:url';
import { addressesIn, canonIp, canonNet, isInNet } from './ip.js';

/** One canonical form of a host, in policy and at the dial. */
export type Host =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'ip'; readonly ip: string }
  | { readonly kind: 'bad'; readonly why: string };

/** `x.org`, `*.x.org` (subdomains only), `*`, an address, a network, or the name of a set; perhaps `:port`. */
export interface HostPattern {
  readonly text: string;
  readonly kind: 'any' | 'name' | 'below' | 'ip' | 'net' | 'set';
  readonly value: string;
  readonly ports: readonly number[] | 'any' | null;
}

/** A pattern of hosts, or why it is none. */
export type HostPatternResult =
  | { readonly ok: true; readonly pattern: HostPattern }
  | { readonly ok: false; readonly why: string; readonly hint: string | null };

/** Canonicalises what a client, a certificate or a person wrote. Never guesses: what is odd is `bad`. */
export function canonHost(text: string): Host {
  const ip = canonIp(text);
  if (ip !== null) return { kind: 'ip', ip };
  if (text === '' || /[\u0000-\u0020\u007f%@#/\\:?[\]<>^|"'`{}*,;]/.test(text)) return bad(text);
  const ascii = domainToASCII(text).replace(/\.$/, '');
  const numeric = canonIp(ascii);
  if (numeric !== null) return { kind: 'ip', ip: numeric };
  if (ascii === '' || ascii.length > 253) return bad(text);
  for (const label of ascii.split('.')) {
    if (label === '' || label.length > 63 || !/^[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?$/.test(label)) return bad(text);
  }
  return { kind: 'name', name: ascii };
}

/** Checks and canonicalises a host of a rule. `isPublicSuffix` is asked for wildcards of grants. */
export function parseHostPattern(text: string, isPublicSuffix: ((name: string) => boolean) | null): HostPatternResult {
  const { host, ports } = splitPort(text);
  if (ports === 'bad') return { ok: false, why: `\`${text}\` has a bad port`, hint: 'Ports are 1–65535, like `db.example.com:5432`.' };
  if (host === '*') return { ok: true, pattern: { text, kind: 'any', value: '*', ports } };
  if (host.includes('://')) return { ok: false, why: `\`${text}\` is a URL`, hint: 'Rules name hosts: write only the name, perhaps with `:port`.' };
  if (host.startsWith('*.')) return wildcard(text, host.slice(2), ports, isPublicSuffix);
  if (host.includes('*')) return { ok: false, why: `\`${text}\`: \`*\` stands only for all subdomains, as in \`*.example.com\``, hint: null };
  if (host.includes('/')) return network(text, host, ports);
  const canon = canonHost(host);
  if (canon.kind === 'bad') return { ok: false, why: canon.why, hint: host.includes('/') ? 'Rules name hosts, not paths.' : null };
  if (canon.kind === 'ip') return { ok: true, pattern: { text, kind: 'ip', value: canon.ip, ports } };
  const set = /^[a-z][a-z0-9-]*$/.test(host) && ports === null && host !== 'localhost';
  return { ok: true, pattern: { text, kind: set ? 'set' : 'name', value: canon.name, ports } };
}

/** True when the pattern names the host; an address matches also through what it embeds. */
export function hostMatches(pattern: HostPattern, host: Host): boolean {
  if (host.kind === 'bad') return false;
  switch (pattern.kind) {
    case 'any': return true;
    case 'name': return host.kind === 'name' && host.name === pattern.value;
    case 'below': return host.kind === 'name' && host.name.endsWith(`.${pattern.value}`);
    case 'ip': return host.kind === 'ip' && addressesIn(host.ip).includes(pattern.value);
    case 'net': return host.kind === 'ip' && addressesIn(host.ip).some((ip) => isInNet(ip, pattern.value));
    case 'set': return false;
  }
}

function bad(text: string): Host {
  return { kind: 'bad', why: `\`${text.slice(0, 80)}\` is not a host name or address` };
}

function splitPort(text: string): { host: string; ports: readonly number[] | 'any' | 'bad' | null } {
  const bracketed = /^(\[[^\]]*\])(?::(.*))?$/.exec(text);
  const plain = /^([^:]*):([^:]*)$/.exec(text);
  const parts = bracketed ?? plain;
  if (parts === null || text.includes('://')) return { host: text, ports: null };
  const [, host = '', port] = parts;
  if (port === undefined) return { host, ports: null };
  if (port === '*') return { host, ports: 'any' };
  return { host, ports: /^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535 ? [Number(port)] : 'bad' };
}

function wildcard(text: string, suffix: string, ports: HostPattern['ports'], isPublicSuffix: ((name: string) => boolean) | null): HostPatternResult {
  const canon = canonHost(suffix);
  if (canon.kind !== 'name') return { ok: false, why: `\`${text}\` is not a wildcard on a host name`, hint: null };
  if (isPublicSuffix?.(canon.name) === true) {
    return { ok: false, why: `\`${text}\` covers a public suffix: anybody can have a name below \`${canon.name}\``, hint: 'Name the hosts one by one.' };
  }
  return { ok: true, pattern: { text, kind: 'below', value: canon.name, ports } };
}

function network(text: string, host: string, ports: HostPattern['ports']): HostPatternResult {
  const net = canonNet(host);
  if (net.ok) return { ok: true, pattern: { text, kind: 'net', value: net.net, ports } };
  return { ok: false, why: /^[\d.:a-f]+\//.test(host) ? net.why : `\`${text}\` has a path: rules name hosts`, hint: net.hint };
}
