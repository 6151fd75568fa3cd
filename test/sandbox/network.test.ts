import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Duplex, PassThrough } from 'node:stream';
import { describe, expect, test, vi } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { Driver } from '../../src/kernel/driver.js';
import { encodeFrame } from '../../src/kernel/frames.js';
import { native } from '../../src/kernel/native.js';
import { hostsOf, nsswitchOf } from '../../src/sandbox/gatefiles.js';
import { checkNetwork, makeNetwork, networkLines, type Network, type NetworkWish } from '../../src/sandbox/network.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';
import type { Store } from '../../src/sandbox/store.js';
import type { Trail } from '../../src/sandbox/trail.js';
import { tempDir } from '../kernel/temp.js';
import { policyOf } from '../policy/make.js';

const WISH: NetworkWish = { person: true, noAsk: false, publish: [], connectHost: new Map(), onQuestions: () => undefined };

describe('what resolves names inside', () => {
  test('of a hosts file only loopback names without a dot stay: the others are the gate’s', () => {
    const text = '127.0.0.1 localhost up.example # x\n127.0.1.1 box.example box\n10.0.0.7 db\n0.0.0.0 ads\n::1 ip6-localhost\n#127.0.0.1 no\n';

    expect(hostsOf(text, 'box')).toBe('127.0.0.1 localhost\n127.0.1.1 box\n::1 ip6-localhost\n');
  });

  test.each([
    ['172.17.0.2 f00d\n', 'f00d', '127.0.0.1 localhost\n127.0.0.1 f00d\n'], ['', 'My-Box', '127.0.0.1 localhost\n127.0.0.1 My-Box\n'], ['', 'localhost', '127.0.0.1 localhost\n'],
    ['', 'www.example.org', '127.0.0.1 localhost\n'], ['', 'a b\n10.0.0.1 c', '127.0.0.1 localhost\n'],
  ])('what the machine calls itself is the sandbox (%j, %j)', (text, self, expected) => {
    expect(hostsOf(text, self)).toBe(expected);
  });

  test('nsswitch keeps everything but the hosts line', () => {
    expect(nsswitchOf('passwd: files systemd\nhosts:  files mymachines resolve [!UNAVAIL=return] dns\n')).toBe('passwd: files systemd\nhosts: files dns\n');
  });
});

describe('what contradicts itself', () => {
  test('the open network is refused around a managed policy’s rules; the gate is not', async () => {
    const policy = await policyOf({ managed: 'version: 1\nnetwork: {deny: [evil.example]}\n' });
    const none = await policyOf({});

    expect(() => checkNetwork('allow', WISH, policy, {})).toThrow('managed policy');
    expect(() => checkNetwork('ask', WISH, policy, {})).not.toThrow();
    expect(() => checkNetwork('allow', WISH, none, {})).not.toThrow();
  });

  test('ports need the gate', async () => {
    const publish = [{ addr: '127.0.0.1', port: 3000, inside: 3000 }];
    const none = await policyOf({});

    expect(() => checkNetwork('off', { ...WISH, publish }, none, {})).toThrow('--publish needs the network gate');
    expect(() => checkNetwork('deny', { ...WISH, publish }, none, {})).not.toThrow();
    expect(() => checkNetwork('allow', { ...WISH, connectHost: new Map([[1, 2]]) }, none, {})).toThrow('--connect-host');
  });
});

describe('a proxy that leads out', () => {
  test('a run that could not go through it is refused before it starts', async () => {
    const policy = await policyOf({ user: 'version: 1\nnetwork: {upstream: environment}\n' });

    expect(() => checkNetwork('ask', WISH, policy, { ALL_PROXY: 'socks5://127.0.0.1:1080' })).toThrow("The proxy of network.upstream can't be used. ALL_PROXY: a proxy that is spoken to by socks5:// is not known.");
    expect(() => checkNetwork('allow', WISH, policy, { ALL_PROXY: 'socks5://127.0.0.1:1080' })).not.toThrow();
    expect(() => checkNetwork('ask', WISH, policy, {})).not.toThrow();
  });

  test('a user’s proxy is refused beside a managed policy’s network rules; one that it names itself is not', async () => {
    const managed = 'version: 1\nnetwork: {deny: [evil.example]}\n';
    const user = 'version: 1\nnetwork: {upstream: environment}\n';
    const env = { HTTPS_PROXY: 'http://proxy.test:3128' };

    const both = await policyOf({ managed, user });
    expect(() => checkNetwork('ask', WISH, both, env)).toThrow('the managed policy has network rules');
    expect(() => checkNetwork('off', WISH, both, env)).not.toThrow();
    const named = await policyOf({ managed: managed.replace('deny:', 'upstream: environment, deny:'), user });
    expect(() => checkNetwork('ask', WISH, named, env)).not.toThrow();
    const unruled = await policyOf({ managed: 'version: 1\nnested: deny\n', user });
    expect(() => checkNetwork('ask', WISH, unruled, env)).not.toThrow();
  });
});

describe('a start that is made anew, as the host had changed under the first', () => {
  const started = (): { readonly driver: Driver; readonly sent: unknown[]; readonly ready: () => void; readonly end: () => void } => {
    const [said, answers] = [new PassThrough(), new PassThrough()];
    const sent: unknown[] = [];
    let ended = (): void => undefined;
    const gate = Duplex.from({ readable: said, writable: answers });
    gate.on('error', () => undefined);
    const driver = { gate, ended: new Promise<void>((go) => (ended = go)), send: (message: unknown) => sent.push(message) } as unknown as Driver;
    return { driver, sent, ready: () => void said.write(encodeFrame({ t: 'ready', version: 1, rung: 'tproxy', ipv6: true, udp: true, limit: 100 })), end: () => (gate.destroy(), ended()) };
  };
  const networkOf = async (audit: () => void): Promise<Network> => {
    const dir = tempDir();
    mkdirSync(join(dir, 'sandboxes/t'), { recursive: true });
    const record = (): number => (audit(), 0);
    return makeNetwork({
      store: { kernel: native, dir: fromText(dir), context: { env: {}, now: () => new Date(0), random: (n: number) => Buffer.alloc(n) } } as unknown as Store,
      record: { net: 'deny', tag: 't' } as SandboxRecord, policy: await policyOf({}), wish: WISH,
      trail: { audit: { record, recordAll: record } as unknown as Trail['audit'] } as Trail,
    });
  };

  test('leaves nothing of what failed at the first', async () => {
    const network = await networkOf(() => undefined);
    const [first, second] = [started(), started()];
    network.attach(first.driver);
    first.end();
    await first.driver.ended;
    network.attach(second.driver);
    second.ready();
    second.end();

    expect(await network.end()).toBeNull();
    expect(second.sent).toEqual([]);
  });

  test('is ended when its gate fails, as the first would have been', async () => {
    let isFull = false;
    const network = await networkOf(() => {
      if (isFull) throw new Error('no record');
    });
    const [first, second] = [started(), started()];
    network.attach(first.driver);
    first.ready();
    first.end();
    await first.driver.ended;
    isFull = true;
    network.attach(second.driver);
    second.ready();
    await vi.waitFor(() => expect(second.sent).toEqual([{ do: 'kill' }]));
    second.end();

    expect((await network.end())?.message).toBe('The network gate failed; the sandbox was ended.');
    expect(first.sent).toEqual([]);
  });
});

describe('what the user is told at the end', () => {
  const told = (asks: boolean, count: number): string =>
    networkLines('t', { refused: () => count } as Trail, { asks, wouldAsk: () => Array.from({ length: count }, (_, i) => ({ rule: `h${i}.test:443`, count: 1 })) } as unknown as Network)[1] ?? '';

  test.each([
    [false, 2, 'agentfw: nobody could be asked; to allow it, in your policy: network: {allow: ["h0.test:443", "h1.test:443"]}'],
    [true, 7, 'agentfw: there were too many questions; to allow it, in your policy: network: {allow: ["h0.test:443", "h1.test:443", "h2.test:443", "h3.test:443", "h4.test:443"]}, and 2 more'],
  ])('why nobody was asked (somebody could be: %j)', (asks, count, line) => {
    expect(told(asks, count)).toBe(line);
  });

  test('no more than is remembered is counted', () => {
    expect(told(true, 1000)).toMatch(/, and at least 995 more$/);
  });
});
