import { describe, expect, test, vi } from 'vitest';
import { makeAsking } from '../../src/gate/ask.js';
import type { ConnQuestion, FirstQuestion } from '../../src/gate/channel.js';
import { answerName } from '../../src/gate/dns.js';
import { makeLookups } from '../../src/gate/lookups.js';
import { decideUdp, judgeFirst, lookAt, vet, type Allowed } from '../../src/gate/decide.js';
import { addressClass, exactRule, gateHost, isMetadata } from '../../src/gate/names.js';
import type { HostGrants } from '../../src/policy/document.js';
import type { Upstream } from '../../src/policy/upstream.js';
import { about, ASK, conn, options, type World } from './asked.js';

async function decide(world: World, question: ConnQuestion): Promise<string> {
  const given = options(world);
  const look = lookAt(given, question);
  if (look.kind === 'decided') return `${look.decision.verdict} ${look.decision.rule}`;
  if (look.kind === 'ask') return `ask ${look.rule}`;
  const decision = await vet(given, look, question.port);
  return decision.verdict === 'allow' ? `dial ${decision.addresses.join(' ')}` : `deny ${decision.rule}`;
}

test('what a run denies on every port is not asked upstream either; one port of it says nothing about the name', async () => {
  const given = options({ allow: ['a.test'], names: { 'a.test': ['192.0.2.1'] } });
  const sent: unknown[] = [];
  const records = vi.fn(() => Promise.resolve(Buffer.from('x')));
  const ask = async (type: number): Promise<void> => {
    await answerName({ ...given, dnsDenied: 'address', records }, { t: 'dns', id: 1, name: 'a.test', type }, (reply) => sent.push(reply), () => undefined);
  };
  given.asking.preset('a.test:443', 'deny', 'net');
  await ask(16);
  given.asking.preset('a.test', 'deny', 'net');
  await ask(16);
  await ask(1);

  expect(records).toHaveBeenCalledTimes(1);
  expect(sent).toMatchObject([{ verdict: 'reply' }, { verdict: 'nodata' }, { verdict: 'fake' }]);
});

test.each([
  [{ kind: 'addresses', addresses: ['192.0.2.1'] }, ['fake', 'nodata']],
  [{ kind: 'none', missing: true, why: 'it does not exist' }, ['nxdomain', 'nxdomain']],
  // With no data for the second, getaddrinfo(3) says for good that there is no address.
  [{ kind: 'none', missing: false, why: 'the resolver failed' }, ['servfail', 'servfail']],
] as const)('an allowed name that the host resolves to %o is so in both kinds of address, and on record once', async (found, told) => {
  const given = { ...options({ allow: ['a.test'] }), resolve: () => Promise.resolve(found) };
  const sent: string[] = [];
  const recorded: unknown[] = [];
  const outbox = { record: (event: unknown) => void recorded.push(event), send: () => undefined, flush: () => undefined, end: () => undefined };
  const lookups = makeLookups(outbox, () => undefined);
  for (const type of [1, 28]) {
    await answerName({ ...given, dnsDenied: 'address' }, { t: 'dns', id: 1, name: 'a.test', type }, (reply) => sent.push('verdict' in reply ? String(reply.verdict) : ''), (note) => lookups.note({ name: 'a.test', type }, note));
  }

  expect(sent).toEqual(told);
  expect(recorded).toMatchObject([{ kind: 'dns', object: { name: 'a.test', type: 1 }, verdict: 'allow' }]);
});

test('an answer that can\'t be recorded holds for nothing: the question stays open', async () => {
  let full = true;
  const asking = makeAsking({ ...ASK, holdMs: 60_000, onAnswering: () => { if (full) throw new Error('no space'); } });
  const held = asking.ask(about('a.test'));
  const yes = { id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'session', by: 'me' } as const;

  expect(() => asking.answer(yes)).toThrow('no space');
  expect(asking.rules()).toEqual([]);
  expect(asking.open()).toHaveLength(1);
  full = false;
  expect(asking.answer(yes)).toBe('ok');
  expect(await held).toMatchObject({ verdict: 'allow' });
});

describe('NT07 names have one form, or none', () => {
  test.each([
    ['Example.COM', 'example.com'], ['example.com.', 'example.com'], ['bücher.example', 'xn--bcher-kva.example'], ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['[::1]', '::1'], ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['0x7f.1', '127.0.0.1'], ['2130706433', '127.0.0.1'], ['017700000001', '127.0.0.1'], ['127.1', '127.0.0.1'],
  ])('%s is %s', (text, expected) => {
    const host = gateHost(text);
    expect(host.kind === 'name' ? host.name : host.kind === 'ip' ? host.ip : null).toBe(expected);
  });

  test.each(['', '.', 'a..b', 'a\r\nb', 'a\tb', 'a%00b', 'a\0b', 'user@host', 'a#b', 'a\\b', 'a/b', 'a:b', 'x'.repeat(254), `${'x'.repeat(64)}.test`, '1.2.3.4.5', 'a.0x7f', 'fe80::1%eth0'])('%j is refused', (text) => {
    expect(gateHost(text).kind).toBe('bad');
  });

  test('the exact rule brackets an IPv6 address', () => {
    expect([exactRule(gateHost('A.test'), 443), exactRule(gateHost('2001:db8::1'), 80)]).toEqual(['a.test:443', '[2001:db8::1]:80']);
  });
});

describe('addresses are classed through every embedding', () => {
  test.each([
    ['93.184.216.34', 'public'], ['2606:2800:220:1::1', 'public'], ['64:ff9b::5db8:d822', 'public'], ['4000::1', 'reserved'], ['8000::1', 'reserved'], ['fe00::1', 'reserved'], ['127.0.0.53', 'loopback'], ['::1', 'loopback'], ['0.0.0.0', 'loopback'], ['::ffff:127.0.0.1', 'loopback'], ['::127.0.0.1', 'loopback'],
    ['10.1.2.3', 'private'], ['fd12::1', 'private'], ['::ffff:192.168.1.1', 'private'], ['64:ff9b::a00:1', 'private'], ['2002:a00:1::', 'private'], ['169.254.1.1', 'link-local'], ['fe80::1', 'link-local'],
    ['64:ff9b:1::a00:1', 'private'], ['2a00::5efe:a00:1', 'private'], ['2a00::200:5efe:7f00:1', 'loopback'], ['2a00::5efe:a9fe:a9fe', 'metadata'], ['fec0::1', 'private'], ['2002:7f00:1::', 'loopback'], ['::ffff:0:127.0.0.1', 'loopback'], ['2001:0:4136:e378:8000:63bf:80ff:fffe', 'loopback'], ['255.255.255.255', 'multicast'], ['ff0e::1', 'multicast'], ['198.18.0.1', 'reserved'], ['192.0.0.170', 'reserved'], ['2001:db8::1', 'reserved'], ['3fff::1', 'reserved'], ['5f00::1', 'reserved'], ['::ffff:100.64.0.1', 'shared'], ['100.64.0.1', 'shared'], ['224.0.0.1', 'multicast'], ['ff02::1', 'multicast'], ['240.0.0.1', 'reserved'], ['169.254.169.254', 'metadata'], ['::ffff:169.254.169.254', 'metadata'], ['64:ff9b::a9fe:a9fe', 'metadata'], ['fd00:ec2::254', 'metadata'], ['168.63.129.16', 'metadata'], ['100.100.100.200', 'metadata'],
  ])('%s is %s', (ip, expected) => {
    expect(addressClass(ip)).toBe(expected);
  });
});

describe('a connection', () => {
  const names = { 'a.test': ['93.184.216.34', '93.184.216.35'], 'lan.test': ['10.0.0.1'], 'mixed.test': ['93.184.216.34', '127.0.0.1'], 'meta.test': ['169.254.169.254'], 'me.test': ['93.184.216.99'] };
  test.each<[string, World, ConnQuestion, string]>([
    ['to an allowed name dials exactly what was vetted', { allow: ['a.test'], names }, conn('a.test'), 'dial 93.184.216.34 93.184.216.35'],
    ['NT08 to a name that only ends like it is asked', { allow: ['a.test'], names }, conn('a.test.evil.test'), 'ask a.test.evil.test:443'],
    ['to a denied name is refused', { deny: ['a.test'], names }, conn('a.test'), 'deny deny.rule'],
    ['NT11 to an allowed name on a private address is refused', { allow: ['lan.test'], names }, conn('lan.test'), 'deny net.private'],
    ['NT11 is dialled with `private: true`', { allow: ['lan.test'], private: true, names }, conn('lan.test'), 'dial 10.0.0.1'],
    ['to a name with one private answer among public ones is refused', { allow: ['mixed.test'], names }, conn('mixed.test'), 'deny net.private'],
    ['NT10 to a metadata name is refused, whatever allows it', { allow: ['metadata.google.internal'], private: true, names }, conn('metadata.google.internal'), 'deny net.metadata'],
    ['NT10 to a metadata address is refused', { allow: ['169.254.169.254'], private: true, names }, conn(null, 80, '169.254.169.254'), 'deny net.metadata'],
    ['NT10 to a name that leads there is refused', { allow: ['meta.test'], private: true, names }, conn('meta.test'), 'deny net.metadata'],
    ['to this machine by a public address is refused', { allow: ['me.test'], own: ['93.184.216.99'], names }, conn('me.test'), 'deny net.own'],
    ['to a name that does not exist says so', { allow: ['none.test'], names }, conn('none.test'), 'deny net.resolve'],
    ['to an address that was given to no name is refused', {}, { ...conn(null), stray: true }, 'deny net.stray'],
    ['to port 0 is refused, whatever allows it', { allow: ['a.test'], names }, conn('a.test', 0), 'deny net.port'],
    ['by address needs a rule for it', { allow: ['93.184.216.34'] }, conn(null, 443, '93.184.216.34'), 'dial 93.184.216.34'],
  ])('%s', async (_, world, question, expected) => {
    expect(await decide(world, question)).toBe(expected);
  });

  test.each([['none.test', 'Check the name.'], ['wiki', 'Write its full name: search domains are not tried.']])('to %s, which is not found, names what to do', async (name, how) => {
    const given = options({ allow: [name] });
    const look = lookAt(given, conn(name));

    expect(look.kind === 'dial' ? await vet(given, look, 443) : look).toMatchObject({ rule: 'net.resolve', how });
  });

  test('an unknown name is not resolved before somebody said yes', () => {
    const resolve = vi.fn();

    expect(lookAt({ ...options(), resolve }, conn('secret.evil.test')).kind).toBe('ask');
    expect(resolve).not.toHaveBeenCalled();
  });

  test('a yes lifts no deny, and a no holds against an allow rule', () => {
    const given = options({ deny: ['d.test'], allow: ['a.test'] });
    given.asking.preset('d.test:443', 'allow', 'x');
    given.asking.preset('a.test:443', 'deny', 'x');

    expect(lookAt(given, conn('d.test'))).toMatchObject({ kind: 'decided', decision: { rule: 'deny.rule' } });
    expect(lookAt(given, conn('a.test'))).toMatchObject({ kind: 'decided', decision: { rule: 'ask.answer' } });
  });

  test.each([[{}, 'deny'], [{ udp: true }, 'allow']] as const)('NP04 UDP with flags %j: %s', async (flags, verdict) => {
    const given = options({ allow: ['a.test'], names, flags });

    expect((await decideUdp(given, { ...conn('a.test', 4000), t: 'udp' })).verdict).toBe(verdict);
  });
});

describe('through a proxy', () => {
  const upstream: Upstream = { host: 'proxy.corp.test', port: 3128, login: null, direct: ['direct.test'] };
  const names = { 'proxy.corp.test': ['10.0.0.9'], 'inward.test': ['10.1.1.1'], 'direct.test': ['93.184.216.34'], 'own.test': ['93.184.216.35'] };
  const decided = async (name: string, more: World = {}): Promise<unknown> => {
    const given = options({ upstream, names, own: ['93.184.216.35'], allow: [name, 'proxy.corp.test'], ...more });
    const look = lookAt(given, conn(name));
    return look.kind === 'dial' ? await vet(given, look, 443) : look;
  };

  test('a name that only the proxy knows is dialled there, wherever the proxy is', async () => {
    expect(await decided('far.test')).toMatchObject({ verdict: 'allow', addresses: ['10.0.0.9'], port: 3128, via: upstream });
    expect(await decided('93.184.216.40')).toMatchObject({ verdict: 'allow', addresses: ['10.0.0.9'], via: upstream });
    expect(await decided('direct.test')).toMatchObject({ verdict: 'allow', addresses: ['93.184.216.34'], port: 443, via: null });
  });

  test('what this machine knows of a name is vetted all the same', async () => {
    expect(await decided('inward.test')).toMatchObject({ verdict: 'deny', rule: 'net.private' });
    expect(await decided('own.test')).toMatchObject({ verdict: 'deny', rule: 'net.own' });
    expect(await decided('10.1.1.1')).toMatchObject({ decision: { verdict: 'deny', rule: 'net.private' } });
  });

  test('names of each machine’s own are never the proxy’s', async () => {
    for (const name of ['localhost', 'a.localhost', 'printer.local', 'intranet']) expect(await decided(name)).toMatchObject({ verdict: 'deny', rule: 'net.resolve' });
  });

  test('a resolver that hangs doesn’t hold what the proxy looks up', async () => {
    const given = { ...options({ upstream: { ...upstream, host: '10.0.0.9' }, allow: ['far.test'] }), resolve: () => new Promise<never>(() => undefined) };
    const look = lookAt(given, conn('far.test'));

    expect(look.kind === 'dial' && await vet(given, look, 443)).toMatchObject({ verdict: 'allow', addresses: ['10.0.0.9'] });
  });

  test('a proxy that is not found is named', async () => {
    expect(await decided('far.test', { names: {} })).toMatchObject({ verdict: 'deny', rule: 'net.upstream', why: "the proxy proxy.corp.test:3128 can't be reached: it does not exist" });
  });

  test('datagrams go by no proxy', async () => {
    expect(await decideUdp(options({ upstream, names, allow: ['far.test', 'direct.test'], flags: { udp: true } }), { ...conn('far.test', 4000), t: 'udp' })).toMatchObject({ verdict: 'deny', rule: 'net.resolve' });
  });

  test('where a variable names one that the policy doesn’t use, the refusal says how to', async () => {
    expect(await decided('far.test', { upstream: null, unusedProxy: 'HTTPS_PROXY' })).toMatchObject({ rule: 'net.resolve', how: 'Check the name. If HTTPS_PROXY is the only way out: add `network: {upstream: environment}` to your policy.' });
  });

  test('DNS: an allowed name that the host’s resolver doesn’t know has its address', async () => {
    const asked = async (more: World): Promise<unknown> => {
      const replies: unknown[] = [];
      await answerName({ ...options({ allow: ['far.test'], ...more }), dnsDenied: 'address' }, { t: 'dns', id: 1, name: 'far.test', type: 1 }, (reply) => replies.push(reply), () => undefined);
      return replies[0];
    };

    expect(await asked({ upstream })).toMatchObject({ verdict: 'fake' });
    expect(await asked({})).toMatchObject({ verdict: 'nxdomain' });
  });
});

describe('first bytes', () => {
  const first = (more: Partial<FirstQuestion>): FirstQuestion => ({ t: 'first', id: 1, spoke: 'tls', sni: null, alpn: null, ech: false, method: null, host: null, hostPort: null, target: null, authority: null, override: false, upgrade: false, ...more });
  const allowed = (host: string, flags: HostGrants = {}): Allowed => ({ verdict: 'allow', host: gateHost(host), addresses: [], port: 443, rule: '', origin: null, approval: null, flags, via: null });
  test.each<[string, string, number, HostGrants, Partial<FirstQuestion>, string | null]>([
    ['NT13 another SNI', 'a.test', 443, {}, { sni: 'evil.test' }, 'net.sni-mismatch'],
    ['the same SNI in capitals', 'a.test', 443, {}, { sni: 'A.TEST' }, null],
    ['NT14 no SNI', 'a.test', 443, {}, {}, 'net.sni-missing'],
    ['NT14 ECH', 'a.test', 443, {}, { sni: 'a.test', ech: true }, 'net.ech'],
    ['NT14 ECH by rule', 'a.test', 443, { hiddenName: true }, { sni: 'a.test', ech: true }, null],
    ['an address without SNI', '93.184.216.34', 443, {}, {}, null],
    ['an address with a denied SNI', '93.184.216.34', 443, {}, { sni: 'd.test' }, 'deny.rule'],
    ['NT10 an address with a metadata name as SNI', '93.184.216.34', 443, {}, { sni: 'metadata.google.internal' }, 'network.default'],
    ['HTTP on 443', 'a.test', 443, {}, { spoke: 'http', host: 'a.test', method: 'GET' }, 'net.tls-required'],
    ['TLS on 80', 'a.test', 80, {}, { sni: 'a.test' }, 'net.http-required'],
    ['NT13 another Host', 'a.test', 80, {}, { spoke: 'http', host: 'evil.test', method: 'GET' }, 'net.host-mismatch'],
    ['no Host', 'a.test', 80, {}, { spoke: 'http', method: 'GET' }, 'net.host-mismatch'],
    ['NT19 another absolute form', 'a.test', 80, {}, { spoke: 'http', host: 'a.test', authority: 'evil.test', method: 'GET' }, 'net.host-mismatch'],
    ['NT16 HTTP/2 by prior knowledge', 'a.test', 8080, {}, { spoke: 'http', method: 'PRI' }, 'net.http2'],
    ['NT04 CONNECT', 'a.test', 80, {}, { spoke: 'http', host: 'a.test', authority: 'a.test', method: 'CONNECT' }, 'net.connect'],
    ['another port in Host', 'a.test', 80, {}, { spoke: 'http', host: 'a.test', hostPort: 22, method: 'GET' }, 'net.host-mismatch'],
    ['NT28 a method that is not listed', 'a.test', 80, { methods: ['GET', 'HEAD'] }, { spoke: 'http', host: 'a.test', method: 'PUT' }, 'net.method'],
    ['NT28 a header for a method that is not listed', 'a.test', 80, { methods: ['GET', 'HEAD'] }, { spoke: 'http', host: 'a.test', method: 'GET', override: true }, 'net.method'],
    ['NT28 a request to switch protocols where methods are listed', 'a.test', 80, { methods: ['GET', 'HEAD'] }, { spoke: 'http', host: 'a.test', method: 'GET', upgrade: true }, 'net.upgrade'],
    ['such a request where any method may pass', 'a.test', 80, {}, { spoke: 'http', host: 'a.test', method: 'GET', upgrade: true }, null],
    ['such a header where any method may pass', 'a.test', 80, {}, { spoke: 'http', host: 'a.test', method: 'GET', override: true }, null],
    ['a listed method', 'a.test', 80, { methods: ['GET', 'HEAD'] }, { spoke: 'http', host: 'a.test', method: 'GET' }, null],
    ['an ambiguous head', 'a.test', 8080, {}, { spoke: 'bad' }, 'net.malformed'],
    ['anything else on another port', 'a.test', 22, {}, { spoke: 'other' }, null],
  ])('%s', (_, host, port, flags, more, expected) => {
    expect(judgeFirst(options({ deny: ['d.test'] }), allowed(host, flags), port, first(more))?.rule ?? null).toBe(expected);
  });

  test('of another port it is told which', () => {
    expect(judgeFirst(options({}), allowed('a.test', {}), 80, first({ spoke: 'http', host: 'a.test', hostPort: 22, method: 'GET' }))?.why).toBe('the request to a.test:80 is for another host: a.test:22');
  });

  test.each([
    ['a.test', 3128, { spoke: 'http', host: 'b.test', method: 'GET' }, '{host: a.test, ports: [3128], raw: true}'],
    ['2001:db8::1', 50051, { spoke: 'http', method: 'PRI' }, '{host: "2001:db8::1", ports: [50051], raw: true}'],
    ['a.test', 1080, { spoke: 'bad' }, '{host: a.test, ports: [1080], raw: true}'],
  ])('what is not for the host that was dialled (%s:%i) is refused with a rule that passes it unread', (host, port, more, rule) => {
    expect(judgeFirst(options({}), allowed(host, {}), port, first(more as Partial<FirstQuestion>))?.how).toContain(`add \`${rule}\` to network.allow`);
  });
});

test('isMetadata holds for names and addresses', () => {
  expect(['metadata.google.internal', 'METADATA.goog.', '169.254.170.2'].map((one) => isMetadata(gateHost(one)))).toEqual([true, true, true]);
});
