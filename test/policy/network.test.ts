import { describe, expect, test } from 'vitest';
import { canonHost } from '../../src/policy/host.js';
import { judgeHost, privateEntry } from '../../src/policy/index.js';
import { policyOf } from './make.js';

const https = (host: string, addresses?: string[]) => ({ host, port: 443, ...(addresses === undefined ? {} : { addresses }) });

describe('canonical hosts', () => {
  test.each([
    ['API.Anthropic.com', 'api.anthropic.com'], ['api.anthropic.com.', 'api.anthropic.com'], ['B\u00fccher.example', 'xn--bcher-kva.example'],
    ['\uff41.example', 'a.example'], ['a\u3002example', 'a.example'],
  ])('NT07 %j is %s', (text, name) => {
    expect(canonHost(text)).toEqual({ kind: 'name', name });
  });

  test.each([['127.1', '127.0.0.1'], ['0x7f000001', '127.0.0.1'], ['2130706433', '127.0.0.1'], ['[::1]', '::1'], ['::FFFF:1.2.3.4', '::ffff:1.2.3.4']])('NT07 %s is the address %s', (text, ip) => {
    const host = canonHost(text);

    expect(host.kind).toBe('ip');
    expect(host.kind === 'ip' && [ip, '::ffff:102:304'].includes(host.ip)).toBe(true);
  });

  test.each(['', '.', 'a..b', 'a b', 'a\tb', 'a\r\nb', 'a\u0000b', 'a%00b', 'a@b', 'a#b', 'a/b', 'a\\b', 'a:80', 'x'.repeat(64) + '.org', `${'a.'.repeat(130)}org`, '-a.org', 'a-.org', 'ex%41mple.com', 'fe80::1%eth0', '1.2.3.4.5'])('NT07 %j is no host', (text) => {
    expect(canonHost(text).kind).toBe('bad');
  });
});

describe('names', () => {
  const user = 'version: 1\nnetwork: {default: deny, allow: [allowed.com, "*.sub.org", "db.example.net:5432", {host: alt.com, ports: [8443]}]}\n';

  test.each([
    ['allowed.com', 443, 'allow'], ['ALLOWED.com.', 443, 'allow'], ['allowed.com.evil.com', 443, 'deny'], ['notallowed.com', 443, 'deny'], ['x.allowed.com', 443, 'deny'],
    ['a.sub.org', 443, 'allow'], ['a.b.sub.org', 443, 'allow'], ['sub.org', 443, 'deny'], ['allowed.com', 22, 'deny'], ['allowed.com', 80, 'allow'],
    ['db.example.net', 5432, 'allow'], ['db.example.net', 443, 'deny'], ['alt.com', 8443, 'allow'], ['alt.com', 443, 'deny'],
  ])('NT08 %s:%i → %s', async (host, port, verdict) => {
    expect(judgeHost(await policyOf({ user }), { host, port }).verdict).toBe(verdict);
  });

  test('NT01 an empty allow list with `default: deny` allows nothing', async () => {
    expect(judgeHost(await policyOf({ user: 'version: 1\nnetwork: {default: deny, allow: []}\n' }), https('example.com')).verdict).toBe('deny');
  });

  test('sets stand for their hosts', async () => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {default: deny, allow: [registries, mine], sets: {mine: [m.org]}}\n', sets: { registries: ['packages.example'] } });

    expect(judgeHost(policy, https('packages.example')).verdict).toBe('allow');
    expect(judgeHost(policy, https('m.org')).verdict).toBe('allow');
    expect(judgeHost(policy, https('n.org')).verdict).toBe('deny');
  });

  test('an unknown set is an error', async () => {
    await expect(policyOf({ user: 'version: 1\nnetwork: {allow: [regitries]}\n' })).rejects.toThrow('Did you mean `registries`?');
  });
});

describe('addresses', () => {
  const open = 'version: 1\nnetwork: {default: allow, allow: ["*", {host: "*", private: true}]}\nexcept: {net.metadata: ["169.254.169.254"]}\n';

  test.each(['169.254.169.254', 'fd00:ec2::254', '168.63.129.16', '100.100.100.200', 'metadata.google.internal', 'instance-data.ec2.internal', '::ffff:169.254.169.254', '64:ff9b::a9fe:a9fe'])('NT10 %s is denied whatever a policy allows', async (host) => {
    const policy = await policyOf({ user: open });

    expect(judgeHost(policy, https(host))).toMatchObject({ verdict: 'deny', rule: 'net.metadata', final: true });
    expect(policy.loosened).toContainEqual(expect.objectContaining({ what: 'except net.metadata' }));
  });

  test.each(['10.0.0.1', '127.0.0.1', '169.254.1.1', 'fe80::1', 'fd12::1', '192.168.1.1', '100.64.0.1', '::ffff:10.0.0.1', '2002:a00:1::', '0.0.0.0', '::', '198.18.0.1', '2001:db8::1'])('NT11 an allowed name that resolves to %s is denied', async (ip) => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {allow: [db.corp.example]}\n' });

    expect(judgeHost(policy, https('db.corp.example', ['1.1.1.1', ip])).verdict).toBe('deny');
    expect(judgeHost(policy, https('db.corp.example', ['1.1.1.1'])).verdict).toBe('allow');
  });

  test('`private: true` opens a private address, for that rule only', async () => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {allow: [{host: [db.corp.example, 10.0.0.0/8], private: true}, other.example]}\n' });

    expect(judgeHost(policy, https('db.corp.example', ['10.1.2.3'])).verdict).toBe('allow');
    expect(judgeHost(policy, https('10.9.9.9')).verdict).toBe('allow');
    expect(judgeHost(policy, https('other.example', ['10.1.2.3'])).verdict).toBe('deny');
    expect(judgeHost(policy, https('db.corp.example', ['169.254.169.254'])).verdict).toBe('deny');
  });

  test('the entry that opens one is named as it is written', async () => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {allow: [db.corp.example, {host: mine, ports: [22, 443]}, {host: all, ports: any}], sets: {mine: [git.corp.example], all: [any.corp.example]}}\n' });
    const entry = (host: string, port: number): string => privateEntry(judgeHost(policy, { host, port, addresses: ['10.1.2.3'] }), host, port);

    expect(entry('db.corp.example', 443)).toBe('{host: db.corp.example, ports: [443], private: true}');
    expect(entry('git.corp.example', 22)).toBe('{host: mine, ports: [22, 443], private: true}');
    expect(entry('any.corp.example', 7)).toBe('{host: all, ports: any, private: true}');
    expect(entry('unknown.example', 8080)).toBe('{host: unknown.example, ports: [8080], private: true}');
    expect(entry('fd12::1', 443)).toBe('{host: "fd12::1", ports: [443], private: true}');
    for (const text of [entry('db.corp.example', 443), entry('git.corp.example', 22), entry('any.corp.example', 7), entry('fd12::1', 443)]) {
      await expect(policyOf({ user: `version: 1\nnetwork: {allow: [${text}], sets: {mine: [git.corp.example], all: [any.corp.example]}}\n` })).resolves.toBeDefined();
    }
  });

  test.each(['abc.ngrok.io', 'webhook.site', 'pastebin.com', 'transfer.sh', 'x.workers.dev', 'discord.com', 'api.telegram.org'])('NT29 %s is denied in spite of a broad allow, and lifted only by name', async (host) => {
    const broad = await policyOf({ user: 'version: 1\nnetwork: {allow: ["*"]}\n' });
    const lifted = await policyOf({ user: `version: 1\nnetwork: {allow: ["*"]}\nexcept: {net.exfil: [${host}]}\n` });

    expect(judgeHost(broad, https(host))).toMatchObject({ verdict: 'deny', rule: 'net.exfil' });
    expect(judgeHost(lifted, https(host)).verdict).toBe('allow');
  });

  test('telemetry is denied silently', async () => {
    expect(judgeHost(await policyOf({ profile: 'claude-code' }), https('statsig.anthropic.com'))).toMatchObject({ verdict: 'deny', silent: true });
  });

  test('an `ask` on a network holds for names that resolve into it', async () => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {allow: [a.example], ask: [1.2.3.0/24]}\n' });

    expect(judgeHost(policy, https('a.example', ['1.2.3.4'])).verdict).toBe('ask');
    expect(judgeHost(policy, https('a.example', ['1.2.4.4'])).verdict).toBe('allow');
  });
});

describe('the managed floor', () => {
  test('a managed `default: deny` closes the section for the layers below', async () => {
    const policy = await policyOf({ profile: 'claude-code', managed: 'version: 1\nnetwork: {default: deny, allow: [corp.example]}\n', user: 'version: 1\nnetwork: {default: allow, allow: [mine.example]}\n', flags: { net: 'allow' } });

    expect(judgeHost(policy, https('corp.example')).verdict).toBe('allow');
    expect(judgeHost(policy, https('api.anthropic.com')).verdict).toBe('allow');
    expect(judgeHost(policy, https('mine.example')).verdict).toBe('deny');
    expect(judgeHost(policy, https('x.example')).verdict).toBe('deny');
    expect(policy.loosened.map(({ what }) => what)).toEqual(expect.arrayContaining(['network.default: allow', 'network.allow network.allow:mine.example']));
  });
});
