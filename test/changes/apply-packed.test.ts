/** New files in new directories stay packed until they land with these. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { applyPlan } from '../../src/changes/apply.js';
import { gather, type GatherOptions } from '../../src/changes/gather.js';
import { offerOf, WHOLE } from '../../src/changes/offer.js';
import type { Plan } from '../../src/changes/plan/draft.js';
import { weightOf } from '../../src/changes/scan/crowd.js';
import { undoCommit } from '../../src/changes/undo.js';
import { AT_FDCWD } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { Store } from '../../src/sandbox/store.js';
import { testContext } from '../helpers/context.js';
import { changesIn, contextFor, makeWorld, picture, sh, type World } from './world.js';

const MAKE = 'mkdir -p $U/pkg/lib/deep $U/pkg/lib.d; for i in $(seq 40); do echo $i >$U/pkg/f$i; echo $i >$U/pkg/lib/f$i; echo $i >$U/pkg/lib/deep/f$i; echo $i >$U/pkg/lib.d/f$i; done; ln -s f1 $U/pkg/lib/link; chmod 600 $U/pkg/lib/f7; touch -d @7.25 $U/pkg/lib/f8';

/** As `commit --yes` plans it, and how many of it were packed. */
function planIn(world: World, how: GatherOptions = { crowds: 'landed' }): { plan: Plan; packed: number } {
  const store: Store = { context: testContext({ HOME: world.top }), kernel: native, dir: fromText(world.state) };
  const gathered = gather(store, world.ctx.record, { controlOnly: true, ...how });
  try {
    const { plan } = offerOf(store, world.ctx.record, { gathered, wish: WHOLE });
    return { plan, packed: gathered.single.reduce((sum, change) => sum + weightOf(change) - 1, 0) };
  } finally {
    gathered.contents.close();
  }
}

let world: World;
beforeEach(() => {
  world = makeWorld();
});
afterEach(() => world.remove());

/** A picture of what the agent made, and of the host before. */
function made(where: World): readonly [string, string] {
  sh(where, `echo old >$H/old; echo new >$U/old; ${MAKE}`);
  return [picture(where.upper, { times: true }), picture(where.host, { times: true })];
}

test('they land as they are, and an undo takes them back', () => {
  const [agents, hosts] = made(world);
  const { plan, packed } = planIn(world);

  const result = applyPlan(world.ctx, plan);

  expect(packed).toBeGreaterThan(150);
  expect(result).toMatchObject({ state: 'landed', refused: [], counts: { add: 165, modify: 1 } });
  expect(picture(world.host, { times: true })).toBe(agents);
  expect(changesIn(world)).toEqual([]);
  expect(undoCommit(world.ctx, result.id)).toMatchObject({ state: 'landed', refused: [] });
  expect(picture(world.host, { times: true })).toBe(hosts);
});

test('copied where nothing can be moved, they are the same', () => {
  const other = makeWorld({ storeUnder: existsSync('/dev/shm') ? '/dev/shm' : '/tmp' });
  try {
    const [agents] = made(other);
    const { plan, packed } = planIn(other);

    expect(packed).toBeGreaterThan(150);
    expect(applyPlan(other.ctx, plan)).toMatchObject({ state: 'landed', refused: [], counts: { add: 165, modify: 1 } });
    expect(picture(other.host, { times: true })).toBe(agents);
    expect(changesIn(other)).toEqual([]);
  } finally {
    other.remove();
  }
});

describe('nothing else lands than what was looked at', () => {
  test.each([
    ['other content', 'echo more >>$U/pkg/lib/f20'],
    ['other content of one size', 'echo xx >$U/pkg/lib/f20'],
    ['another time', 'touch -d @9 $U/pkg/lib/deep/f40'],
    ['another file of the same size and time', 'cp -p $U/pkg/lib/f20 $U/x; mv $U/x $U/pkg/lib/f20'],
    ['a file less', 'rm $U/pkg/f40'],
    ['the last of a directory less', 'rm $U/pkg/lib.d/f9'],
    ['a file more', 'touch $U/pkg/lib/f20x'],
    ['a directory more', 'mkdir $U/pkg/lib/f20x'],
    ['another name', 'mv $U/pkg/lib/f20 $U/pkg/lib/f20x'],
    ['two that changed their names', 'mv $U/pkg/f20 $U/x; mv $U/pkg/f21 $U/pkg/f20; mv $U/x $U/pkg/f21'],
    ['a link in the place of a file', 'rm $U/pkg/f20; ln -s /etc/passwd $U/pkg/f20'],
    ['a device', 'rm $U/pkg/f20; mkfifo $U/pkg/f20'],
    ['the file from elsewhere', 'mv $U/pkg/lib/f20 $U/pkg/lib/deep/'],
  ])('%s', (_what, script) => {
    const [, hosts] = made(world);
    const { plan } = planIn(world);
    sh(world, script);

    const { state, refused } = applyPlan(world.ctx, plan);

    expect([state, refused.map(({ path, text }) => [path.slice(world.host.length), text])]).toEqual(['landed', [['/pkg', 'it changed after it was looked at']]]);
    expect(picture(world.host, { times: true }).replace(/\/old .*/, '')).toBe(hosts.replace(/\/old .*/, ''));
  });
});

test('what the host removed the place of stays, each told by its name', () => {
  sh(world, `mkdir -p $H/dir $U/dir/pkg; cp -a --attributes-only $H/dir $U/; for i in $(seq 40); do echo $i >$U/dir/pkg/f$i; done; echo new >$U/new`);
  native.setXattr(AT_FDCWD, fromText(join(world.upper, 'dir')), fromText('user.overlay.origin'), Buffer.alloc(0));
  sh(world, 'rmdir $H/dir');
  const { plan, packed } = planIn({ ...world, ctx: contextFor(world, native, 1n) });

  const files = Array.from({ length: 40 }, (_, n) => `/dir/pkg/f${n + 1}`);
  expect(packed).toBeGreaterThan(30);
  expect(plan.refused.map(({ path }) => path.slice(world.host.length)).sort()).toEqual(['/dir', '/dir/pkg', ...files].sort());
  expect(plan.refused.every(({ why }) => why === 'conflict')).toBe(true);
  expect(plan.steps.map(({ path }) => path.slice(world.host.length))).toEqual(['/new']);
});

test('what takes effect by itself is held back as ever', () => {
  sh(world, `${MAKE}; mkdir -p $U/own/.git/hooks $U/own/src; echo x >$U/own/.git/hooks/pre-commit; for i in $(seq 40); do echo $i >$U/own/src/f$i; done`);
  const landing = ({ plan: { steps, refused } }: ReturnType<typeof planIn>): unknown => [steps.flatMap(({ path, entries }) => [path, ...[...(entries ?? [])].map((entry) => `${path}/${entry.path}`)]).sort(), refused.map(({ path, text }) => [path, text])];
  const [packed, single] = [planIn(world), planIn(world, {})];

  expect([packed.packed > 150, single.packed]).toEqual([true, 0]);
  expect(JSON.stringify(landing(packed))).not.toContain('pre-commit"');
  expect(landing(packed)).toEqual(landing(single));
});

test('a database of which something stays lands nothing of its new directories either (I20)', () => {
  sh(world, 'mkdir -p $H/pg/global $U/pg/global $U/pg/base/5; echo old >$H/pg/global/pg_control; echo new, and longer >$U/pg/global/pg_control; for i in $(seq 40); do echo $i >$U/pg/base/5/$i; done; echo other >$U/other');
  native.setXattr(AT_FDCWD, fromText(join(world.upper, 'pg/global/pg_control')), fromText('user.overlay.origin'), Buffer.alloc(0));
  const { plan, packed } = planIn({ ...world, ctx: contextFor(world, native, 1n) });
  const within = plan.steps.flatMap(({ path, entries }) => [path, ...[...(entries ?? [])].map((entry) => `${path}/${entry.path}`)]).map((path) => path.slice(world.host.length));

  expect(packed).toBeGreaterThan(30);
  expect(plan.refused.map(({ path }) => path.slice(world.host.length))).toEqual(expect.arrayContaining(['/pg/global/pg_control', '/pg/base/5/1', '/pg/base/5/40']));
  expect(within.filter((path) => /\/\d+$/.test(path) && path !== '/pg/base/5')).toEqual([]);
  expect(within).toContain('/other');
});
