/** A sandbox that one command holds: the next one waits for it, and takes it for no running agent. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, type Area, type Outcome } from '../helpers/sandbox.js';
import { holdStore, isAwaited, releaseStores } from '../helpers/store-lock.js';

const { test } = needs('userns', 'overlay');
const [identity] = identities();
let area: Area;
beforeEach(() => {
  area = createArea(identity!);
});
afterEach(async () => {
  releaseStores();
  await area.remove();
});

test('commits and a discard of one sandbox wait for each other', async () => {
  expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo a >a'])).status).toBe(0);
  const store = await holdStore(area);
  const first = area.cli(['commit', 'box', '--yes']);
  await eventually('the first commit waits for the store', () => isAwaited(area));

  const rerun = await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'true']);
  expect(rerun.status).toBe(125);
  expect(rerun.stderr).toContain('Another command holds sandbox box');
  const others: readonly Promise<Outcome>[] = [area.cli(['commit', 'box', '--yes']), area.cli(['discard', 'box', 'a', '--yes'])];
  store.kill();

  expect(await first).toMatchObject({ status: 0, stderr: expect.stringContaining('Landed 1 change') as string });
  for (const { stderr } of await Promise.all(others)) expect(stderr).not.toContain('is running');
});

for (const argv of [
  ['commit', 'box', '--yes'], ['commit', 'box', '--dry-run'], ['discard', 'box', 'a', '--yes'], ['discard', 'box', '--yes'], ['undo'], ['prune', '--yes'],
]) {
  test(`whoever waits for a commit of another sandbox is told so: ${argv.join(' ')}`, async () => {
    expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo a >a'])).status).toBe(0);
    // As any commit that is under way.
    const [file = '', ...rest] = area.as(['mkdir', '-p', join(area.state, 'commits', '0'.repeat(26))]);
    execFileSync(file, rest);
    await holdStore(area);
    const waits = area.cli(argv);
    await eventually('it waits for the store', () => isAwaited(area));
    releaseStores();

    expect((await waits).stderr.split('\n')[0]).toBe('Waiting for another commit.');
  });
}
