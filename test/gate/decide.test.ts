import { describe, expect, test, vi } from 'vitest';
import { makeAsking, MOST_MISSED, type AskOptions } from '../../src/gate/ask.js';
import { askApprover } from '../../src/gate/approver.js';
import type { ConnQuestion, FirstQuestion } from '../../src/gate/channel.js';
import { answerName } from '../../src/gate/dns.js';
import { makeLookups } from '../../src/gate/lookups.js';
import { decideUdp, judgeFirst, lookAt, vet, type Allowed, type DecideOptions } from '../../src/gate/decide.js';
import { addressClass, exactRule, gateHost, isMetadata } from '../../src/gate/names.js';
import { hostLookup, makeResolver } from '../../src/gate/resolve.js';
import type { HostGrants } from '../../src/policy/document.js';
import { isPublic } from '../../src/policy/ip.js';
import type { HostJudgement } from '../../src/policy/judge.js';
import type { Upstream } from '../../src/policy/upstream.js';

const ASK: AskOptions = { now: () => Date.now(), elapsed: () => performance.now(), newId: () => 'q1', enabled: true, holdMs: 50, keepMs: 1000, maxOpen: 100, perMinute: 100 };
const about = (host: string, port = 443): Parameters<ReturnType<typeof makeAsking>['ask']>[0] => ({ host, port, rule: `${host}:${port}`, note: null, who: null });

interface World {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly private?: boolean;
  readonly names?: Readonly<Record<string, readonly string[]>>;
  readonly own?: readonly string[];
  readonly flags?: HostGrants;
  readonly ask?: Partial<AskOptions>;
  readonly upstream?: Upstream | null;
  readonly unusedProxy?: string;
}

function options(world: World = {}): DecideOptions {
  const judge: DecideOptions['judge'] = ({ host, addresses = [] }): HostJudgement => {
    const base = { origin: null, why: 'w', also: [], silent: false };
    if (world.deny?.includes(host) === true) return { ...base, verdict: 'deny', rule: 'deny.rule', final: true };
    if (world.private !== true && [host, ...addresses].some((one) => gateHost(one).kind === 'ip' && !isPublic(one))) return { ...base, verdict: 'deny', rule: 'net.private', final: true };
    return world.allow?.includes(host) === true ? { ...base, verdict: 'allow', rule: 'allow.rule', final: false } : { ...base, verdict: 'ask', rule: 'network.default', final: false };
  };
  return {
    judge,
    flags: () => world.flags ?? {},
    isPrivate: () => world.private === true,
    resolve: (name) => Promise.resolve(world.names?.[name] === undefined ? { kind: 'none', missing: true, why: 'it does not exist' } : { kind: 'addresses', addresses: world.names[name] }),
    asking: makeAsking({ ...ASK, ...world.ask }),
    ownAddresses: () => new Set(world.own),
    forwards: new Map(),
    ...{ upstream: world.upstream ?? null, unusedProxy: world.unusedProxy ?? null },
  };
}

const conn = (name: string | null, port = 443, ip = '198.19.0.1'): ConnQuestion => ({ t: 'conn', id: 1, name, ip, port, stray: false, forward: false, begun: false });
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
    await answerName({ ...given, dnsDenied: 'fake', records }, { t: 'dns', id: 1, name: 'a.test', type }, (reply) => sent.push(reply), () => undefined);
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
    await answerName({ ...given, dnsDenied: 'fake' }, { t: 'dns', id: 1, name: 'a.test', type }, (reply) => sent.push('verdict' in reply ? String(reply.verdict) : ''), (note) => lookups.note({ name: 'a.test', type }, note));
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
      await answerName({ ...options({ allow: ['far.test'], ...more }), dnsDenied: 'fake' }, { t: 'dns', id: 1, name: 'far.test', type: 1 }, (reply) => replies.push(reply), () => undefined);
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

describe('asking', () => {
  test('a thousand clients of one destination are one question, answered together', async () => {
    const opened = vi.fn();
    const asking = makeAsking({ ...ASK, holdMs: 5000, onOpened: opened });
    const waiting = Array.from({ length: 1000 }, () => asking.ask(about('a.test')));

    expect(asking.open()).toMatchObject([{ id: 'q1', rule: 'a.test:443', waiting: 1000 }]);
    expect(asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' })).toBe('ok');
    expect(new Set((await Promise.all(waiting)).map(({ verdict }) => verdict))).toEqual(new Set(['allow']));
    expect(opened).toHaveBeenCalledOnce();
    expect(asking.answered('a.test:443')).toBeNull();
    asking.close();
  });

  test('PO13 nobody answers: no; the question stays and its answer serves the retry once', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 5 });

    expect(await asking.ask(about('a.test'))).toMatchObject({ verdict: 'deny', rule: 'ask.timeout', approval: 'q1' });
    expect(asking.open()).toMatchObject([{ waiting: 0, asked: 1 }]);
    asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    expect(await asking.ask(about('a.test'))).toMatchObject({ verdict: 'allow', approval: 'q1' });
    expect(asking.answered('a.test:443')).toBeNull();
    asking.close();
  });

  test('an answer for once is spent by the connection that it lets through, not by datagrams that need a rule', async () => {
    const given = options({ names: { 'a.test': ['93.184.216.34'] }, ask: { holdMs: 5 } });
    await given.asking.ask(about('a.test'));
    given.asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    const connects = async (): Promise<string> => {
      const look = lookAt(given, conn('a.test'));
      return look.kind === 'dial' ? (await vet(given, look, 443)).verdict : look.kind;
    };

    expect(await decideUdp(given, { ...conn('a.test'), t: 'udp' })).toMatchObject({ rule: 'net.udp' });
    expect(await connects()).toBe('allow');
    expect(await connects()).toBe('ask');
    given.asking.close();
  });

  test('a client that gives up leaves its question open', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 5000 });
    const gone = new AbortController();
    const answer = asking.ask(about('a.test'), gone.signal);
    gone.abort();

    expect(await answer).toMatchObject({ verdict: 'deny', rule: 'ask.gone' });
    expect(asking.open()).toMatchObject([{ waiting: 0 }]);
    asking.close();
  });

  test('a client that has gone already is not held', async () => {
    const asking = makeAsking({ ...ASK, holdMs: 100_000 });

    expect(await asking.ask(about('a.test'), AbortSignal.abort())).toMatchObject({ rule: 'ask.gone' });
    asking.close();
  });

  test('PO10 so many questions are open at once, and a minute later more may be opened', async () => {
    let now = 0;
    let ids = 0;
    const asking = makeAsking({ ...ASK, elapsed: () => now, newId: () => `q${(ids += 1)}`, holdMs: 100_000, maxOpen: 3, perMinute: 2 });
    const tried = async (host: string): Promise<string> => {
      const gone = new AbortController();
      const outcome = asking.ask(about(host), gone.signal);
      gone.abort();
      const found = await outcome;
      return found.verdict === 'deny' ? found.rule : found.verdict;
    };

    expect([await tried('a.test'), await tried('b.test'), await tried('c.test'), await tried('a.test')]).toEqual(['ask.gone', 'ask.gone', 'ask.flood', 'ask.gone']);
    now = 60_001;
    expect([await tried('c.test'), await tried('d.test'), await tried('c.test')]).toEqual(['ask.gone', 'ask.flood', 'ask.gone']);
    asking.close();
  });

  test('what would have been asked is counted for a thousand destinations, not for any number', async () => {
    const asking = makeAsking({ ...ASK, enabled: false });
    for (let i = 0; i < MOST_MISSED + 5; i += 1) await asking.ask(about(`n${i}.test`));
    await asking.ask(about('n0.test'));

    expect(asking.wouldAsk()).toHaveLength(MOST_MISSED);
    expect(asking.wouldAsk()[0]).toEqual({ rule: 'n0.test:443', count: 2 });
    asking.close();
  });

  test('PO11 an answer is bound to its id and its exact rule', () => {
    const asking = makeAsking(ASK);
    void asking.ask(about('a.test'));
    const answer = { id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'session', by: 't' } as const;

    expect([asking.answer({ ...answer, rule: '*.test:443' }), asking.answer({ ...answer, id: 'q2' }), asking.answer(answer), asking.answer(answer)]).toEqual(['changed', 'unknown', 'ok', 'unknown']);
    expect(asking.rules()).toEqual([{ rule: 'a.test:443', verdict: 'allow', by: 't' }]);
    asking.close();
  });

  test('PO10 a flood of destinations is refused, and listed', async () => {
    let n = 0;
    const asking = makeAsking({ ...ASK, newId: () => `q${(n += 1)}`, perMinute: 5, holdMs: 5000 });
    const answers = Array.from({ length: 1000 }, (_, i) => asking.ask(about(`h${i}.test`)));
    asking.close();

    const rules = (await Promise.all(answers)).map((one) => (one.verdict === 'deny' ? one.rule : ''));
    expect(rules.filter((rule) => rule === 'ask.flood')).toHaveLength(995);
    expect(asking.wouldAsk()).toHaveLength(995);
  });

  test('RS05 a clock that jumps while a question is open neither answers it nor makes a yes last longer', async () => {
    let [clock, elapsed] = [1e12, 0];
    const asking = makeAsking({ ...ASK, now: () => clock, elapsed: () => elapsed, perMinute: 1 });
    const retried = (): string => asking.answered('a.test:443')?.verdict ?? 'asks';
    const held = asking.ask(about('a.test'));
    clock += 1e9;
    expect(await asking.ask(about('b.test'))).toMatchObject({ verdict: 'deny', rule: 'ask.flood' });
    expect(await held).toMatchObject({ verdict: 'deny', rule: 'ask.timeout' });

    asking.answer({ id: 'q1', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' });
    clock -= 2e9;
    elapsed += 5 * 60_000 + 1;
    expect(retried()).toBe('asks');
    asking.close();
  });

  test('a question goes when its time is over, but not while somebody waits for it', async () => {
    vi.useFakeTimers();
    try {
      let ids = 0;
      const asking = makeAsking({ ...ASK, elapsed: () => Date.now(), newId: () => `q${(ids += 1)}`, holdMs: 600_000, keepMs: 10_000 });
      const gone = new AbortController();
      void asking.ask(about('left.test'), gone.signal);
      const held = asking.ask(about('a.test'));
      gone.abort();
      await vi.advanceTimersByTimeAsync(31_000);

      expect(asking.open().map(({ host }) => host)).toEqual(['a.test']);
      expect(asking.answer({ id: 'q2', rule: 'a.test:443', verdict: 'allow', scope: 'once', by: 't' })).toBe('ok');
      expect(await held).toMatchObject({ verdict: 'allow' });
      asking.close();
    } finally {
      vi.useRealTimers();
    }
  });

  test('PO07 an answer is about one host and one port, whatever separators stand in a name', () => {
    const names = ['a.test', 'a.test:443', 'a.test:443,b.test', 'a.test 443', 'a.test;b.test', 'a.test|b.test', 'a.test/b.test', '*.test', 'a.test:*', '[a.test]', 'a.test\n', 'a__test', 'a.test:44', 'b.a.test', 'a.testa', '443'];
    const hosts = names.map(gateHost);
    expect(names.filter((_, at) => hosts[at]?.kind === 'name')).toEqual(['a.test', 'a__test', 'b.a.test', 'a.testa']);

    const rules = hosts.filter(({ kind }) => kind !== 'bad').flatMap((host) => [4, 44, 443].map((port) => exactRule(host, port)));
    expect(new Set(rules).size).toBe(rules.length);
    for (const given of rules) {
      const asking = makeAsking(ASK);
      asking.preset(given, 'allow', 'me');
      expect(rules.filter((rule) => asking.answered(rule) !== null)).toEqual([given]);
    }
  });

  test.each([[undefined, 'the answer was no'], ['the approver gave no answer', 'the approver gave no answer']])('a no says whose it is (%s)', async (why, told) => {
    const asking = makeAsking(ASK);
    const held = asking.ask(about('a.test'));
    const [question] = asking.open();
    asking.answer({ id: question!.id, rule: 'a.test:443', verdict: 'deny', scope: 'once', by: 't', ...(why === undefined ? {} : { why }) });

    expect(await held).toMatchObject({ verdict: 'deny', rule: 'ask.answer', why: told });
    asking.close();
  });

  test('`--no-ask` denies at once and lists ready-made rules, most wanted first', async () => {
    const asking = makeAsking({ ...ASK, enabled: false });
    for (const host of ['a.test', 'b.test', 'b.test']) expect(await asking.ask(about(host))).toMatchObject({ verdict: 'deny', rule: 'ask.off' });

    expect(asking.wouldAsk()).toEqual([{ rule: 'b.test:443', count: 2 }, { rule: 'a.test:443', count: 1 }]);
  });

  test.each([['nonsense', null], ['{"verdict":"deny","verdict":"allow"}', null], ['{"verdict":"deny","\\u0076erdict":"allow"}', null], ['{"verdict":"deny"}{"verdict":"allow"}', null], ['{"verdict":"allow","note":"say \\"yes\\""}', 'allow'], ['{"verdict":"allow","scope":"project"}', null], ['{"verdict":"allow"}', 'allow'], ['{"verdict":"deny","scope":"session"}', 'deny']])('an approver that prints %s', async (output, verdict) => {
    const answer = await askApprover(() => Promise.resolve(output), ['x'], { ...about('a.test'), id: 'q', opened: 0, expires: 0, waiting: 1, asked: 1 }, { timeoutMs: 1000, signal: new AbortController().signal });

    expect(answer?.verdict ?? null).toBe(verdict);
  });
});

describe('resolving', () => {
  const found = (...addresses: string[]): { address: string; family: number }[] => addresses.map((address) => ({ address, family: 4 }));

  test('a resolver that hangs costs three lookups and is told after its time', async () => {
    const lookup = vi.fn(() => new Promise<never>(() => undefined));
    const resolve = makeResolver({ lookup, now: () => 0, timeoutMs: 20 });

    const results = await Promise.all(Array.from({ length: 300 }, (_, i) => resolve(`h${i}.test`)));
    expect(new Set(results.map(({ kind }) => kind))).toEqual(new Set(['none']));
    expect(lookup).toHaveBeenCalledTimes(3);
  });

  test('behind so many that wait no more is taken, and that is told at once', async () => {
    const resolve = makeResolver({ lookup: () => new Promise<never>(() => undefined), now: () => 0, timeoutMs: 60_000 });
    for (let count = 0; count < 3 + 256; count += 1) void resolve(`h${count}.test`);

    expect(await resolve('late.test')).toEqual({ kind: 'none', missing: false, why: 'too many names wait to be resolved' });
  });

  test('of a thousand names the oldest is looked up again', async () => {
    const lookup = vi.fn(() => Promise.resolve(found('1.2.3.4')));
    const resolve = makeResolver({ lookup, now: () => 0 });
    for (let count = 0; count <= 1024; count += 1) await resolve(`h${count}.test`);
    await resolve('h1024.test');
    expect(lookup).toHaveBeenCalledTimes(1025);

    await resolve('h0.test');
    expect(lookup).toHaveBeenCalledTimes(1026);
  });

  test('the same name at the same time is one lookup, and is kept for a while', async () => {
    let now = 0;
    const lookup = vi.fn(() => Promise.resolve(found('1.2.3.4', '1.2.3.4')));
    const resolve = makeResolver({ lookup, now: () => now, keepMs: 10 });

    await Promise.all([resolve('a.test'), resolve('a.test')]);
    expect(await resolve('a.test')).toEqual({ kind: 'addresses', addresses: ['1.2.3.4'] });
    expect(lookup).toHaveBeenCalledOnce();
    now = 11;
    await resolve('a.test');
    expect(lookup).toHaveBeenCalledTimes(2);
  });

  test('search domains can\'t make another name of it; the hosts file counts', async () => {
    const lookup = vi.fn(() => Promise.resolve(found('9.9.9.9')));
    const resolve = hostLookup(lookup, () => '# x\n10.0.0.7 Db.test db # y\n');

    expect(await resolve('db.test')).toEqual([{ address: '10.0.0.7', family: 4 }]);
    await resolve('a.test');
    expect(lookup.mock.calls).toEqual([['a.test.']]);
  });
});

test('isMetadata holds for names and addresses', () => {
  expect(['metadata.google.internal', 'METADATA.goog.', '169.254.170.2'].map((one) => isMetadata(gateHost(one)))).toEqual([true, true, true]);
});
