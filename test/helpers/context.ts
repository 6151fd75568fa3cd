import type { Bytes } from '../../src/bytes.js';
import { fromText } from '../../src/bytes.js';
import type { Context } from '../../src/context.js';
import { native } from '../../src/kernel/native.js';

/** A context with a fixed clock, chance and boot, over the real kernel. */
export function testContext(env: Context['env'], cwd: string | Bytes = '/'): Context {
  let drawn = 0;
  return {
    kernel: native,
    env,
    cwd: fromText(cwd),
    uid: process.getuid?.() ?? -1,
    now: () => new Date('2026-01-02T03:04:05.000Z'),
    random: (bytes) => Buffer.alloc(bytes, (drawn += 1)),
    bootId: () => 'boot-1',
  };
}
