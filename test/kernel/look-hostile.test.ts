import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { native } from '../../src/kernel/native.js';
import { openDir, tempDir } from './temp.js';

/** MurmurHash64A, which libstdc++ has for strings: whoever changes the top bit of two words in a row has the same hash again. */
const FACTOR = 0xc6a4a7935bd1e995n;
const WORD = (1n << 64n) - 1n;

function inverse(factor: bigint): bigint {
  let found = factor;
  for (let bits = 0; bits < 6; bits++) found = (found * (2n - factor * found)) & WORD;
  return found;
}

function shifted(word: bigint): bigint {
  return word ^ (word >> 47n);
}

/** Two words without NUL or newline that are mixed into words which differ in the top bit. */
function pair(from: bigint): readonly [Buffer, Buffer] {
  const bytes = (word: bigint): Buffer => {
    const buffer = Buffer.alloc(8);
    buffer.writeBigUInt64LE(word);
    return buffer;
  };
  for (let word = from; ; word = (word * 6364136223846793005n + 1442695040888963407n) & WORD) {
    const mixed = (shifted((word * FACTOR) & WORD) * FACTOR) & WORD;
    const other = (shifted(((mixed ^ (1n << 63n)) * inverse(FACTOR)) & WORD) * inverse(FACTOR)) & WORD;
    const both = [bytes(word), bytes(other)] as const;
    if (!both.some((one) => one.includes(0) || one.includes(10))) return both;
  }
}

test('lines that were made to have the same hash are counted as fast as others', () => {
  const pairs = Array.from({ length: 30 }, (_, n) => pair(BigInt(n + 1) * 0x0123456789abcdefn));
  const lines = Array.from({ length: 30_000 }, (_, n) => Buffer.concat([...pairs.map((both, at) => both[(n >> (at >> 1)) & 1] ?? both[0]), Buffer.from('\n')]));
  const dir = tempDir();
  for (const [side, text] of [['up', Buffer.concat(lines)], ['down', Buffer.from('one\ntwo\n')]] as const) {
    mkdirSync(join(dir, side));
    writeFileSync(join(dir, side, 'f'), text);
  }
  const before = process.cpuUsage();

  const found = [...native.walk(openDir(join(dir, 'up')), openDir(join(dir, 'down')), { family: 'user', compare: true, look: 'lines' })];

  expect(found.at(-1)?.lines).toEqual({ added: 30_000, removed: 2 });
  expect(process.cpuUsage(before).user / 1_000_000).toBeLessThan(2);
});
