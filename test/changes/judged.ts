/** The world of `world.ts`, judged for conflicts with what its host did since the start. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { startCapture } from '../../src/changes/capture/capture.js';
import { judgeConflicts } from '../../src/changes/conflict.js';
import { countKinds } from '../../src/changes/gather.js';
import { isOnlyMark } from '../../src/changes/scan/mark.js';
import { countChanges, hasChanges } from '../../src/changes/tally.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { Store } from '../../src/sandbox/store.js';
import { testContext } from '../helpers/context.js';
import { changesIn, contextFor, sh, type World } from './world.js';

/** The sandbox starts now: what the host does from here on came after T0. */
export function begun(world: World): World {
  sh(world, 'sleep 0.02; touch $T/t0; sleep 0.02');
  const t0 = native.stat(AT_FDCWD, fromText(join(world.top, 't0'))).ctimeNs;
  return { ...world, ctx: contextFor(world, native, t0) };
}

/** What the supervisor does while the agent works; `fileBytes`: larger files are not kept. */
export function captureIn(world: World, fileBytes = 1 << 20): void {
  const { kernel, record } = world.ctx;
  const sandboxDir = fromText(join(world.state, 'sandboxes/box'));
  startCapture({ kernel, sandboxDir, layers: record.layers, t0: record.t0, fileBytes, totalBytes: 1 << 30 }).stop();
}

/** By path below the host, of each change. */
export function conflictsIn(world: World): Record<string, string | null> {
  const judged = judgeConflicts(world.ctx, changesIn(world));
  // Who only counts comes to the same.
  const store: Store = { context: { ...testContext({ HOME: world.top }), now: world.ctx.now }, kernel: native, dir: fromText(world.state) };
  expect(countChanges(store, world.ctx.record)).toEqual(countKinds(judged.filter((change) => !isOnlyMark(change))));
  expect(hasChanges(store, world.ctx.record)).toBe(judged.length > 0);
  return Object.fromEntries(judged.map(({ path, conflict }) => [path.slice(world.host.length + 1), conflict]));
}

/** As the kernel marks what it copies up. */
export function markOrigin(world: World, path: string): void {
  native.setXattr(AT_FDCWD, fromText(join(world.upper, path)), fromText('user.overlay.origin'), Buffer.alloc(0));
}

/** As the kernel marks a directory that replaces the host's. */
export function markOpaque(world: World, path: string): void {
  native.setXattr(AT_FDCWD, fromText(join(world.upper, path)), fromText('user.overlay.opaque'), Buffer.from('y'));
}
