import { ftruncateSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { native } from '../../src/kernel/native.js';
import { tempDir } from './temp.js';

function pair(first: Buffer, second: Buffer): [number, number] {
  const dir = tempDir();
  writeFileSync(join(dir, 'a'), first);
  writeFileSync(join(dir, 'b'), second);
  return [openSync(join(dir, 'a'), 'r'), openSync(join(dir, 'b'), 'r')];
}

describe('sameBytes', () => {
  const big = Buffer.alloc(300_001, 'agentfw ');
  const late = Buffer.from(big);
  late[300_000] = 0;

  test.each([
    ['empty', Buffer.alloc(0), Buffer.alloc(0), true],
    ['equal', Buffer.from('one'), Buffer.from('one'), true],
    ['same size', Buffer.from('one'), Buffer.from('two'), false],
    ['other size', Buffer.from('one'), Buffer.from('ones'), false],
    ['several blocks', big, big, true],
    ['last byte of several blocks', big, late, false],
  ])('%s', (_, first, second, same) => {
    const [a, b] = pair(first, second);

    expect(native.sameBytes(a, b)).toBe(same);

    native.close(a);
    native.close(b);
  });

  test('a hole equals zeros, and 1 TiB of hole takes no time (E34, CW20)', () => {
    const dir = tempDir();
    const [a, b] = ['a', 'b'].map((name) => openSync(join(dir, name), 'w+')) as [number, number];
    for (const fd of [a, b]) ftruncateSync(fd, 2 ** 40);
    writeSync(b, Buffer.alloc(5000), 0, 5000, 2 ** 39);

    expect(native.sameBytes(a, b)).toBe(true);
    writeSync(b, 'x', 2 ** 39 + 7);
    expect(native.sameBytes(a, b)).toBe(false);

    native.close(a);
    native.close(b);
  });
});

describe('copy', () => {
  test('keeps content and holes (E34)', () => {
    const dir = tempDir();
    const src = openSync(join(dir, 'src'), 'w+');
    writeSync(src, 'begin', 0);
    writeSync(src, 'end', 2 ** 30);
    ftruncateSync(src, 2 ** 30 + 10_000_000);
    const dst = openSync(join(dir, 'dst'), 'w+');

    expect(['reflink', 'copy']).toContain(native.copy(src, dst));

    expect(native.sameBytes(src, dst)).toBe(true);
    expect(statSync(join(dir, 'dst')).blocks).toBeLessThan(1000);
    native.close(src);
    native.close(dst);
  });

  test('of what is shorter than it was said to be no more than is there', () => {
    const src = openSync('/sys/devices/virtual/net/lo/mtu', 'r');
    const path = join(tempDir(), 'b');
    const dst = openSync(path, 'w+');
    expect(statSync('/sys/devices/virtual/net/lo/mtu').size).toBe(4096);

    native.copy(src, dst);

    expect(readFileSync(path, 'utf8')).toBe(readFileSync('/sys/devices/virtual/net/lo/mtu', 'utf8'));
    native.close(src);
    native.close(dst);
  });

  test('an empty file', () => {
    const dir = tempDir();
    writeFileSync(join(dir, 'src'), '');
    const [src, dst] = [openSync(join(dir, 'src'), 'r'), openSync(join(dir, 'dst'), 'w')];

    native.copy(src, dst);

    expect(readFileSync(join(dir, 'dst'))).toHaveLength(0);
    native.close(src);
    native.close(dst);
  });
});
