/** attacks.md E, F: ways of opening a socket that are none of a usual client, tried in a whole run. */
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { allIdentities, jsonOf, python, repository, type Area } from '../helpers/sandbox.js';
import { ALLOWED, inWorld, type Upstream, type World } from '../helpers/upstream.js';

const script = join(repository, 'test/attack/net.py');
const FORBIDDEN = /^forbidden$/;
/** Nothing came back and nobody was asked, or the kernel knows no such thing. */
const NOWHERE = /^(ECONNREFUSED|EPROTONOSUPPORT|ESOCKTNOSUPPORT|EAFNOSUPPORT|EPERM|EACCES|ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|EINVAL|silent)$/;

const EXPECTED: Readonly<Record<string, RegExp>> = {
  'an allowed name, plainly': /^through$/,
  'an allowed name in capitals with its dot': /^through$/,
  'an allowed name with data in the SYN': /^through$/,
  'NT08 a name below it': FORBIDDEN,
  'NT07 a name that looks like it': FORBIDDEN,
  'NT07 a name with an underscore': FORBIDDEN,
  'NT07 a name of 255 bytes': /^(gaierror|UnicodeError|EAI_.*|forbidden)$/,
  'NT02 an address': FORBIDDEN,
  'NT02 an address with data in the SYN': FORBIDDEN,
  'NT02 a socket that was connected elsewhere before': FORBIDDEN,
  'NT02 a socket bound to the device': FORBIDDEN,
  'NT02 a socket bound to a foreign address': /^(forbidden|EADDRNOTAVAIL)$/,
  'NP07 a transparent socket': /^EPERM$/,
  'NP13 an IPv6 address with a flow label': FORBIDDEN,
  'NT10 credentials, mapped': FORBIDDEN,
  'NT10 credentials, translated': FORBIDDEN,
  'NT11 the host\'s loopback, translated': FORBIDDEN,
  'NT11 the host\'s loopback by 6to4': FORBIDDEN,
  'NP14 the host\'s loopback': /^ECONNREFUSED$/,
  'NP14 the host\'s loopback by no address': /^ECONNREFUSED$/,
  'NP14 the host\'s loopback, mapped': /^ECONNREFUSED$/,
  'NP08 MPTCP': /^EPROTONOSUPPORT$/,
  'NP07 SCTP': NOWHERE,
  'NP07 DCCP': NOWHERE,
  'NP07 raw TCP': NOWHERE,
  'NP07 a packet socket': NOWHERE,
  'NP07 ping': NOWHERE,
  'NP04 UDP-Lite': NOWHERE,
  'NP05 QUIC to an allowed name': /^ECONNREFUSED$/,
  'NP04 a broadcast': NOWHERE,
  'NP04 a multicast': NOWHERE,
  'NP04 an IPv6 multicast': NOWHERE,
  'NP01 many questions on one connection': /^own 50$/,
  'NP02 DNS over TLS': /^TLSV1_ALERT_ACCESS_DENIED$/,
  'NP02 DNS over HTTPS': /^TLSV1_ALERT_ACCESS_DENIED$/,
  'NP07 from a namespace below': /^no no$/,
  'NP14 sockets of the host in /proc': /^none$/,
};

for (const identity of allIdentities()) {
  const gated = needs('root', 'userns', 'overlay', 'python');

  gated.describe(`unusual clients of the network gate, as ${identity.name}`, () => {
    let area: Area;
    let up: Upstream;
    let world: World;
    inWorld(identity, (made) => ({ area, up, world } = made));

    for (const rung of ['tproxy', 'redir', 'notify']) {
      gated.test(`none gets out but by the name that a rule allows, and each refusal is on record (AU07, rung ${rung})`, async () => {
        const before = up.seen.length;
        const tag = `net-${rung}`;
        const outcome = await world.cli(['run', '--tag', tag, '--net', 'deny', '--', python, script, ALLOWED, String(up.port)], { env: { AGENTFW_GATE: rung } });
        const found = jsonOf<Record<string, string>>(outcome);

        expect(Object.keys(found)).toEqual(Object.keys(EXPECTED));
        expect(Object.entries(EXPECTED).filter(([name, expected]) => !expected.test(found[name] ?? '')).map(([name]) => `${name}: ${found[name] ?? ''}`)).toEqual([]);
        expect(up.seen.slice(before)).toEqual(Array.from({ length: 3 }, () => `GET ${ALLOWED}:${up.port} /`));
        const { records } = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', tag, '--json']));
        const decided = records.filter(({ kind }) => kind === 'conn');
        expect(decided.filter(({ verdict }) => verdict === 'allow').length).toBeGreaterThanOrEqual(3);
        expect(decided.filter(({ verdict, object }) => verdict === 'allow' && object['host'] !== ALLOWED)).toEqual([]);
        expect(decided.filter(({ verdict, rule }) => verdict === 'deny' && rule === null)).toEqual([]);
        expect(decided.filter(({ object }) => object['ip'] === '203.0.113.9' && object['port'] === 80).length).toBeGreaterThanOrEqual(4);
      });
    }
  });
}
