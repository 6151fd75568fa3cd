import { canonHost, type Host } from '../policy/host.js';
import { addressesIn, canonIp, isInNet, isPublic } from '../policy/ip.js';

/** What an address is, whatever notation or embedding it comes in. */
export type AddressClass = 'public' | 'metadata' | 'loopback' | 'private' | 'link-local' | 'shared' | 'multicast' | 'reserved';

const NETS: readonly (readonly [AddressClass, readonly string[]])[] = [
  ['metadata', ['169.254.169.254/32', '169.254.170.0/24', 'fd00:ec2::/32', '168.63.129.16/32', '100.100.100.200/32']],
  ['loopback', ['127.0.0.0/8', '::1/128', '0.0.0.0/8', '::/128']],
  ['link-local', ['169.254.0.0/16', 'fe80::/10']],
  ['private', ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10']],
  ['shared', ['100.64.0.0/10']],
  ['multicast', ['224.0.0.0/4', 'ff00::/8', '255.255.255.255/32']],
];

const METADATA_NAMES: ReadonlySet<string> = new Set([
  'metadata.google.internal', 'metadata.goog', 'metadata.azure.internal', 'metadata.azure.com', 'instance-data.ec2.internal', 'instance-data',
]);

/** The class of the worst address in it: a mapped, translated or tunnelled one is what it embeds. */
export function addressClass(ip: string): AddressClass {
  const found = addressesIn(ip).map(ownClass);
  return NETS.map(([name]) => name).find((name) => found.includes(name)) ?? (isPublic(ip) ? 'public' : 'reserved');
}

function ownClass(ip: string): AddressClass {
  return NETS.find(([, nets]) => nets.some((net) => isInNet(ip, net)))?.[0] ?? (isPublic(ip) ? 'public' : 'reserved');
}

/** What gives credentials to whoever asks: refused before any rule is read. */
export function isMetadata(host: Host): boolean {
  if (host.kind === 'name') return METADATA_NAMES.has(host.name);
  return host.kind === 'ip' && addressClass(host.ip) === 'metadata';
}

/**
 * The one form of what a client, a ClientHello or a Host header said; `0x7f.1`
 * and `2130706433` are the address that resolvers read in them. On top of the
 * of the policy's own rules, a name whose last label is a number is refused:
 */
export function gateHost(text: string): Host {
  const host = canonHost(text);
  if (host.kind !== 'name') return host;
  const last = host.name.slice(host.name.lastIndexOf('.') + 1);
  return /^(\d+|0x[0-9a-f]*)$/.test(last) ? { kind: 'bad', why: `\`${host.name}\` is an address in disguise` } : host;
}

/** The host of a Host header or SNI equals the one that was dialled. */
export function isSameHost(said: string, host: Host): boolean {
  const canon = gateHost(said);
  if (canon.kind === 'name') return host.kind === 'name' && canon.name === host.name;
  return canon.kind === 'ip' && host.kind === 'ip' && canon.ip === host.ip;
}

/** How a host is written in rules, questions and records. */
export function hostText(host: Host): string {
  return host.kind === 'name' ? host.name : host.kind === 'ip' ? host.ip : '';
}

/** The exact rule that an answer to a question about this host and port stores. */
export function exactRule(host: Host, port: number): string {
  return placeText(hostText(host), port);
}

/** The rule that is about every port of a host. */
export function hostRule(host: Host): string {
  const text = hostText(host);
  return text.includes(':') ? `[${text}]` : text;
}

/** An exact rule's host, as a rule about every port of it. */
export function hostRuleOf(exact: string): string {
  return exact.replace(/:\d+$/, '');
}

/** True for the rule itself and, where it is about every port, for each exact one of that host. */
export function isWithin(exact: string, rule: string): boolean {
  return exact === rule || hostRuleOf(exact) === rule;
}

/** Host and port as people and rules write them. */
export function placeText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Addresses in canonical form, those that are none left out. */
export function canonAddresses(addresses: readonly string[]): string[] {
  return [...new Set(addresses.map((one) => canonIp(one.replace(/%.*$/, ''))).filter((one) => one !== null))];
}
