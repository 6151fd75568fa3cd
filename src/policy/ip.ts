import { createRequire } from 'node:module';
import type ipaddr from 'ipaddr.js';

type IpModule = typeof ipaddr;
type Address = ReturnType<IpModule['parse']>;

/** Loaded at the first address: 6–12 ms that a run without network questions never pays. */
let loaded: IpModule | null = null;
function lib(): IpModule {
  loaded ??= createRequire(import.meta.url)('ipaddr.js') as IpModule;
  return loaded;
}

/** Canonical text of an address without zone, brackets or odd forms; null when it is none. */
export function canonIp(text: string): string | null {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  if (bare.includes('%') || !/^[0-9a-fA-F:.]+$/.test(bare)) return null;
  if (!bare.includes(':')) return lib().IPv4.isValidFourPartDecimal(bare) ? lib().IPv4.parse(bare).toString() : null;
  return lib().IPv6.isValid(bare) ? lib().IPv6.parse(bare).toRFC5952String() : null;
}

/** A network `10.0.0.0/8`: its canonical text, or why it is none. */
export function canonNet(text: string): { ok: true; net: string } | { ok: false; why: string; hint: string | null } {
  const [address = '', bits = ''] = text.split('/');
  const ip = canonIp(address);
  const width = ip?.includes(':') === true ? 128 : 32;
  if (ip === null || !/^\d{1,3}$/.test(bits) || Number(bits) > width) {
    return { ok: false, why: `\`${text}\` is not a network`, hint: 'Write it like 10.0.0.0/8 or fd00::/8.' };
  }
  const first = width === 32 ? lib().IPv4.networkAddressFromCIDR(`${ip}/${bits}`).toString() : lib().IPv6.networkAddressFromCIDR(`${ip}/${bits}`).toRFC5952String();
  if (first !== ip) return { ok: false, why: `\`${text}\` has bits set after the first ${bits}`, hint: `Did you mean ${first}/${bits}?` };
  return { ok: true, net: `${ip}/${bits}` };
}

/**
 * The address and every address that it embeds: a v4-mapped, v4-compatible,
 * NAT64, 6to4, Teredo or ISATAP address reaches the v4 one, so rules hold on both.
 */
export function addressesIn(ip: string): string[] {
  const address = lib().parse(ip);
  if (address.kind() === 'ipv4') return [ip];
  const bytes = address.toByteArray();
  const embedded = embeddedV4(address, bytes);
  return embedded === null ? [ip] : [ip, embedded];
}

/** True when the address is on the public internet, whatever embeds it. */
export function isPublic(ip: string): boolean {
  const [outer = ip, inner] = addressesIn(ip);
  const address = lib().parse(outer);
  if (inner !== undefined) return isMapping(address) && lib().parse(inner).range() === 'unicast';
  // Of IPv6 only 2000::/3 was ever given out: nobody public is elsewhere.
  if (address.kind() === 'ipv6' && !isInNet(outer, '2000::/3')) return false;
  return address.range() === 'unicast' && outer !== '168.63.129.16';
}

/** False between families: a mapped IPv4 address is taken apart before. Throws for what is no address, or no net in CIDR (RFC 4632). */
export function isInNet(ip: string, net: string): boolean {
  const address = lib().parse(ip);
  const [base, bits] = lib().parseCIDR(net);
  return address.kind() === base.kind() && address.match(base, bits);
}

/** Mapped and NAT64 addresses are the v4 host itself; 6to4 and Teredo are tunnels. */
function isMapping(address: Address): boolean {
  const range = address.range();
  return range === 'ipv4Mapped' || range === 'rfc6052' || range === 'rfc6145';
}

function embeddedV4(address: Address, bytes: readonly number[]): string | null {
  const range = address.range();
  if (range === '6to4') return bytes.slice(2, 6).join('.');
  if (range === 'teredo') return bytes.slice(12, 16).map((byte) => byte ^ 0xff).join('.');
  const high = bytes.slice(0, 12).every((byte) => byte === 0);
  // ISATAP (RFC 5214): a tunnel to the v4 address that is its interface's id.
  const isatap = bytes.slice(8, 12).join('.').match(/^[02]\.0\.94\.254$/) !== null;
  const compatible = high && (bytes[12] ?? 0) !== 0;
  return isMapping(address) || compatible || isatap ? bytes.slice(12).join('.') : null;
}
