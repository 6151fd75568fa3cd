import { describe, expect, test, vi } from 'vitest';
import { hostLookup, makeResolver } from '../../src/gate/resolve.js';

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
