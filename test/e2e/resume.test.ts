/** `run --in`: what an interrupted commit left is settled before the agent sees the layer or the host. */
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, removeTree, type Area } from '../helpers/sandbox.js';

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
    test('shows what an earlier run changed where the host lies over it now', async () => {
      mkdirSync(join(area.project, 'sub'));
      chownSync(join(area.project, 'sub'), identity.uid, identity.gid);
      expect((await area.cli(['run', '--tag', 'lent', '--net', 'off', '--', 'sh', '-c', 'echo mine >sub/made'])).status).toBe(0);
      const run = await area.cli(['run', '--in', 'lent', '--net', 'off', '--share', 'sub', '--', 'ls', 'sub']);
      expect(run).toMatchObject({ status: 0, stdout: '' });
      expect(run.stderr).toContain('agentfw: 1 added in lent');
      expect(await area.cli(['diff', 'lent', '--name-only'])).toMatchObject({ status: 0, stdout: `${area.project}/sub/made\n` });
    });
    test('is refused where a layer is gone that held something, and so is each look at it', async () => {
      const start = (how: string) => area.cli(['run', how, 'lost', '--net', 'off', '--', 'touch', 'kept']);
      expect((await start('--tag')).status).toBe(0);
      const layers = join(area.state, 'sandboxes', 'lost', 'layers');
      await removeTree(layers);
      for (const [words, status] of [[['diff', 'lost'], 1], [['commit', 'lost', '--yes'], 1], [['run', '--in', 'lost', '--net', 'off', '--', 'true'], 125]] as const) {
        const looked = await area.cli([...words]);
        expect(looked, words[0]).toMatchObject({ status, stdout: '' });
        expect(looked.stderr).toMatch(/Error: What was changed below \S+ lies in \S+, which isn't there\.\nHint: Put that directory back; agentfw discard/);
      }
      expect(await area.cli(['discard', 'lost', '--yes'])).toMatchObject({ status: 0 });
    });
    test('is refused where the agent has taken away the place of what is handed in', async () => {
      mkdirSync(join(area.project, 'data'));
      chownSync(join(area.project, 'data'), identity.uid, identity.gid);
      for (const agent of ['rmdir data', 'rmdir data; ln -s /etc data']) {
        expect((await area.cli(['run', '--tag', 'taken', '--net', 'off', '--', 'sh', '-c', agent])).status).toBe(0);
        const run = await area.cli(['run', '--in', 'taken', '--net', 'off', '--share', 'data', '--', 'ls', 'data']);
        expect(run, agent).toMatchObject({ status: 125, stdout: '' });
        expect(run.stderr).toContain('Hint: An earlier run of taken changed what lies there');
        expect((await area.cli(['discard', 'taken', '--yes'])).status).toBe(0);
      }
    });
    test('says where the agent’s work is if its store was moved meanwhile', async () => {
      const file = join(area.state, 'sandboxes', 'away', 'sandbox.json');
      const run = area.cli(['run', '--tag', 'away', '--net', 'off', '--', 'sh', '-c', 'echo 1 >before; sleep 3; echo 2 >after']);
      await expect.poll(() => existsSync(file) && readFileSync(file, 'utf8'), { timeout: 60_000 }).toContain('"running"');
      renameSync(area.state, `${area.state}.new`);
      const { status, stderr } = await run;
      renameSync(`${area.state}.new`, area.state);
      expect(status).toBe(125);
      expect(stderr).toContain(`Error: The store ${area.state} was moved away while away ran, so its end can't be recorded. What the agent wrote is in the store.\nHint: Name its new place: AGENTFW_STATE_DIR=PLACE agentfw diff away\n`);
      expect(await area.cli(['diff', 'away', '--name-only'])).toMatchObject({ status: 0, stdout: `${area.project}/after\n${area.project}/before\n` });
    });
    test('is told by what the agent closed its own directory to itself', async () => {
      expect((await area.cli(['run', '--tag', 'shut', '--net', 'off', '--', 'chmod', '0', '.'])).status).toBe(0);
      const run = await area.cli(['run', '--in', 'shut', '--net', 'off', '--', 'true']);
      if (identity.uid === 0) return void expect(run.status).toBe(0);
      expect(run.status).toBe(125);
      // A plain `rm -r` of the store finds nothing closed.
      const left = join(area.state, 'sandboxes', 'shut', 'layers');
      for (const id of readdirSync(left)) expect(existsSync(join(left, id, 'work')), id).toBe(false);
      expect(run.stderr).toContain(`agentfw discard --tag shut -- ${area.project} gives up`);
      expect((await area.cli(['discard', '--tag', 'shut', '--yes', '--', area.project])).status).toBe(0);
      expect((await area.cli(['run', '--in', 'shut', '--net', 'off', '--', 'true'])).status).toBe(0);
    });
    test('begins from the host as it is then where all has landed: what its user edited since is no conflict, and the base of a merge', async () => {
      const host = (script: string) => area.native(['sh', '-euc', script]);
      const agent = (how: string, script: string) => area.cli(['run', how, 'days', '--net', 'off', '--', 'sh', '-euc', script]);
      await host('seq 9 >both; echo 1 >seen; echo 1 >touched; sleep 0.05');
      await agent('--tag', 'sed -i s/^1/agent/ both; touch touched; mkdir -p deep/new; echo x >deep/new/x');
      expect((await area.cli(['commit', 'days', '--yes', '--', 'both'])).status).toBe(0);
      expect((await area.cli(['commit', 'days', '--yes'])).status).toBe(0);
      await host('sed -i s/^5/user/ both; echo 2 >>seen; echo 2 >touched; sleep 0.05');
      expect(await agent('--in', 'sed -i s/^9/again/ both; echo 3 >>seen; rm -r deep; cat touched')).toMatchObject({ status: 0, stdout: '2\n' });
      expect((await area.cli(['diff', 'days', '--conflicts', '--name-only'])).stdout).toBe('');
    });
    test('`--rm` says what of earlier runs goes with the sandbox', async () => {
      await area.cli(['run', '--tag', 'gone', '--net', 'off', '--', 'sh', '-c', 'echo work >precious']);

      expect(await area.cli(['run', '--rm', '--in', 'gone', '--net', 'off', '--', 'true'])).toMatchObject({ status: 0, stderr: 'agentfw: discarded gone: 1 added\n' });
      expect((await area.cli(['list'])).stdout).not.toMatch(/^gone/m);
      expect(await area.cli(['run', '--rm', '--net', 'off', '--', 'touch', 'new'])).toMatchObject({ status: 0, stderr: '' });
    });
    test('keeps what it knows of the host where a dropped change may come back', async () => {
      const host = (script: string) => area.native(['sh', '-euc', script]);
      const agent = (how: string, script: string) => area.cli(['run', how, 'drop', '--net', 'off', '--', 'sh', '-euc', script]);
      await host('echo 1 >dropped; sleep 0.05');
      await agent('--tag', 'echo agent >dropped');
      const { commit } = jsonOf<{ commit: string }>(await area.cli(['discard', 'drop', '--yes', '--json', 'dropped']));
      await host('echo user >dropped; sleep 0.05');
      await agent('--in', 'true');
      expect((await area.cli(['undo', commit])).status).toBe(0);
      expect((await area.cli(['commit', 'drop', '--yes'])).status).toBe(3);
      expect((await host('cat dropped')).stdout).toBe('user\n');
    });
    test('misses no layer that held nothing', async () => {
      expect((await area.cli(['run', '--tag', 'bare', '--net', 'off', '--', 'true'])).status).toBe(0);
      rmSync(join(area.state, 'sandboxes', 'bare', 'layers'), { recursive: true });
      expect(await area.cli(['diff', 'bare'])).toMatchObject({ status: 0, stdout: '' });
      expect(await area.cli(['run', '--in', 'bare', '--net', 'off', '--', 'echo', 'again'])).toMatchObject({ status: 0, stdout: 'again\n' });
    });
  });
}
