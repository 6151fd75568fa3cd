import { readdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { native } from '../../src/kernel/native.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { holderOf, isLocked, tryLock } from '../../src/sandbox/lock.js';
import { tempDir } from '../kernel/temp.js';

/** A kernel whose locks somebody has for so many looks. */
function refusing(times: number): Kernel {
  let left = times;
  return { ...native, flock: (...args) => ((left -= 1) < 0 ? native.flock(...args) : false) };
}
const opened = (): number => readdirSync('/proc/self/fd').length;

test('a lock that somebody looks at for a moment is had, and one that is held is refused without a descriptor left', () => {
  const file = fromText(`${tempDir()}/lock`);

  const lock = tryLock(refusing(3), file);
  expect(lock).not.toBeNull();
  const before = opened();
  expect(tryLock(native, file)).toBeNull();
  expect(isLocked(native, file)).toBe(true);
  expect(opened()).toBe(before);

  lock?.release();
  expect(opened()).toBe(before - 1);
  expect(isLocked(native, file)).toBe(false);
});

test('its holder is told, and nobody where nobody holds it', () => {
  const dir = tempDir();
  const [file, other] = [fromText(`${dir}/lock`), fromText(`${dir}/other`)];
  writeFileSync(`${dir}/other`, '');
  const lock = tryLock(native, file);

  expect([holderOf(native, file), holderOf(native, other), holderOf(native, fromText(`${dir}/none`))]).toEqual([process.pid, null, null]);
  lock?.release();
  expect(holderOf(native, file)).toBeNull();
});
