import { describe, expect, test } from 'vitest';
import { settingOf } from '../../src/policy/compiled.js';
import { isOver, parseUpstream, upstreamOf } from '../../src/policy/upstream.js';
import { policyOf } from './make.js';

describe('network.upstream', () => {
  const NO_PROXY = 'intern.example, .corp.example,10.0.0.0/8,300.0.0.0/99,[2001:db8::1]:443 plain.example:8080';

  test.each<[string, number, boolean]>([
    ['far.example', 443, true], ['intern.example', 443, false], ['a.intern.example', 443, false], ['notintern.example', 443, true],
    ['corp.example', 443, false], ['a.corp.example', 80, false], ['10.1.2.3', 443, false], ['93.184.216.34', 443, true],
    ['2001:db8::1', 443, false], ['2001:db8::1', 80, true], ['plain.example', 8080, false], ['plain.example', 443, true],
    ['db', 5432, false], ['localhost', 80, false], ['a.localhost', 80, false], ['printer.local', 80, false], ['127.0.0.1', 80, false], ['::1', 80, false], ['169.254.169.254', 80, false], ['fe80::1', 80, false],
  ])('%s:%i goes through the proxy: %s', (host, port, over) => {
    const found = parseUpstream('http://proxy.corp.example:3128', NO_PROXY);

    expect(found.ok && isOver(found.value, host, port)).toBe(over);
  });

  test('NO_PROXY=* leaves nothing for it', () => {
    const found = parseUpstream('proxy.corp.example:3128/', '*');

    expect(found.ok && isOver(found.value, 'far.example', 443)).toBe(false);
  });

  test('the environment names it, with its login; without one nothing stands between', () => {
    expect(upstreamOf('environment', {})).toBe(null);
    expect(upstreamOf('environment', { HTTPS_PROXY: 'http://me:p%40ss@[2001:db8::5]:8080', no_proxy: 'A.example' })).toEqual({ ok: true, value: { host: '2001:db8::5', port: 8080, login: 'me:p@ss', direct: ['a.example'] } });
    expect(upstreamOf('http://given.example:1', { HTTPS_PROXY: 'http://other.example:2' })).toMatchObject({ value: { host: 'given.example', port: 1 } });
  });

  test.each([['socks5://proxy.example:1080', 'socks5://'], ['https://proxy.example:443', 'https://'], ['http://proxy.example', 'no URL'], ['http://proxy.example:0', 'no host and port'], ['http://pro xy:1', 'no host'], ['', 'no URL']])('%j is none', (text, why) => {
    expect(parseUpstream(text)).toMatchObject({ ok: false, why: expect.stringContaining(why) as string });
  });

  test('a policy file keeps no login, and an untrusted one names no proxy', async () => {
    await expect(policyOf({ user: 'version: 1\nnetwork: {upstream: "http://me:pw@proxy.example:1"}\n' })).rejects.toThrow('keeps no login');
    await expect(policyOf({ user: 'version: 1\nnetwork: {upstream: "socks5://proxy.example:1"}\n' })).rejects.toThrow('socks5://');
    const policy = await policyOf({ project: 'version: 1\nnetwork: {upstream: "http://evil.example:1"}\n' });
    expect(settingOf(policy, 'network.upstream')).toBe(null);
  });
});
