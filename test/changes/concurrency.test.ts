import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { applyPlan } from '../../src/changes/apply.js';
import { recoverAll } from '../../src/changes/recover.js';
import { bundleRunner } from '../crash/bundle.js';
import { commit, makeWorld, planOf, sh, type World } from './world.js';

let world: World;
let runner = '';
const children: ChildProcess[] = [];
beforeAll(async () => {
  runner = await bundleRunner();
});
afterAll(() => rmSync(dirname(runner), { recursive: true, force: true }));
beforeEach(() => {
  world = makeWorld();
});
afterEach(async () => {
  // One that still writes would have its directory again.
  await Promise.all(children.splice(0).map(ended));
  world.remove();
});

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const end = once(child, 'exit');
  child.kill('SIGKILL');
  await end;
}

/** Another process that holds a lock, and is killed once somebody waits for it: `letGo`. */
async function hold(file: string): Promise<{ readonly letGo: () => void }> {
  const go = join(world.top, 'go');
  const ready = join(world.top, 'held');
  const script = `exec 9>"$1"; flock 9; touch "$2"; until test -e "$3"; do sleep 0.02; done; kill -9 $$`;
  children.push(spawn('bash', ['-c', script, 'bash', file, ready, go]));
  while (!existsSync(ready)) await new Promise((done) => setTimeout(done, 10));
  return { letGo: () => writeFileSync(go, '') };
}

test.each(['store', 'user'] as const)('a commit waits for one that holds the %s\'s lock, says so, and goes on when that is killed (I15)', async (which) => {
  sh(world, 'echo a >$U/a');
  const hostLock = join(world.top, 'user.lock');
  const ctx = { ...world.ctx, hostLock: fromText(hostLock) };
  const said: string[] = [];
  const { letGo } = await hold(which === 'store' ? join(world.state, 'commits/.lock') : hostLock);

  const result = applyPlan(ctx, planOf(world), {
    onWait: (what) => {
      said.push(what);
      letGo();
    },
  });

  expect(said).toEqual(['another commit']);
  expect(result.state).toBe('landed');
});
test('a commit that died with the locks held leaves none, and the next one finishes it', () => {
  sh(world, 'for f in a b c d; do echo old >$H/$f; echo new >$U/$f; done');
  mkdirSync(join(world.top, 'x'));
  const plain = { top: world.top, host: world.host, upper: world.upper, state: world.state };
  let died = 0;
  for (let call = 60; call < 160 && readdirSync(join(world.state, 'commits')).length < 2; call += 5) {
    died = call;
    spawnSync(process.execPath, [runner, '--child', `${call}`, '--world', JSON.stringify(plain), '--scene', 'whole']);
  }
  expect(died).toBeGreaterThan(0);
  sh(world, 'echo e >$U/e');

  const result = commit(world);

  expect(result.state).toBe('landed');
  expect(sh(world, 'cat $H/a $H/b $H/c $H/d $H/e')).toBe('new\nnew\nnew\nnew\ne\n');
  expect(recoverAll(world.ctx)).toEqual([]);
});
test('while an editor saves over and over, each save and each commit is whole, and none is lost unseen', async () => {
  const file = join(world.host, 'f');
  sh(world, 'echo 0 >$H/f');
  const log = join(world.top, 'saves');
  const editor = spawn('bash', ['-c', 'n=0; while :; do n=$((n+1)); echo save $n >"$1.tmp"; mv "$1.tmp" "$1"; echo $n >"$2"; done', 'bash', file, log]);
  children.push(editor);
  await new Promise((done) => setTimeout(done, 50));
  let landed = 0;
  for (let round = 0; round < 40; round += 1) {
    sh(world, `echo agent ${round} >$U/f`);
    const result = commit(world);
    if (result.landed.length > 0) landed += 1;
    else expect(result.refused).toMatchObject([{ conflict: 'changed' }]);
    expect(readFileSync(file, 'utf8')).toMatch(/^(save|agent) \d+\n$/);
  }
  editor.kill('SIGKILL');

  const kept = readdirSync(join(world.state, 'commits')).filter((id) => id !== '.lock');
  expect(kept).toHaveLength(landed);
});
