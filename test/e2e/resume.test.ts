/** `run --in`: what an interrupted commit left is settled before the agent sees the layer or the host. */
import { chownSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');

for (const identity of identities()) {
  describe(`a run in a sandbox beside an interrupted commit, as ${identity.name}`, () => {
    let area: Area;
    /** a commit without a result: `plan`, the journal, is absent or can't be read */
    const leave = (id: string, plan: boolean): string => {
      const dir = join(area.state, 'commits', id);
      for (const path of plan ? [dir, join(dir, 'plan')] : [dir]) {
        mkdirSync(path, { mode: 0o700 });
        chownSync(path, identity.uid, identity.gid);
      }
      return dir;
    };
    const again = () => area.cli(['run', '--in', 'box', '--net', 'off', '--', 'cat', 'made']);

    beforeAll(async () => {
      area = createArea(identity);
      expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo inside >made'])).status).toBe(0);
    });
    afterAll(() => area.remove());

    test('takes back what had not begun to land, says so, and goes on', async () => {
      const dir = leave('01interrupted', false);
      const run = await again();
      expect(run).toMatchObject({ status: 0, stdout: 'inside\n' });
      expect(run.stderr).toContain('Dropped the commit 01interrupted, which had not begun to land.');
      expect(existsSync(dir)).toBe(false);
    });
    test('is refused with what to do where that can not be settled', async () => {
      const dir = leave('01unreadable', true);
      const run = await again();
      expect(run).toMatchObject({ status: 125, stdout: '' });
      expect(run.stderr).toContain('An earlier commit 01unreadable is unfinished');
      expect(run.stderr).toContain('agentfw recover');
      rmSync(dir, { recursive: true });
      expect(await again()).toMatchObject({ status: 0, stdout: 'inside\n' });
    });
    test('keeps the permissions that the agent gave to the top of a layer', async () => {
      const line = (then: string) => ['run', ...then.split(' '), '--net', 'off', '--on-exit', 'keep', '--', 'sh', '-c'];
      const home = await area.cli([...line('--tag top'), 'chmod 711 ~; stat -c %a ~']);
      expect(home, home.stderr).toMatchObject({ status: 0, stdout: '711\n' });
      expect(await area.cli([...line('--in top'), 'stat -c %a ~'])).toMatchObject({ status: 0, stdout: '711\n' });
    });
  });
}
