/**
 * Edge cases of copy-on-write tools that went wrong elsewhere, each with its id.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

for (const identity of identities()) {
  needs('userns', 'overlay', 'python').describe(`edges as ${identity.name}`, () => {
    const gated = needs('python');
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    const make = async (script: string): Promise<void> => {
      const made = await area.native(['sh', '-euc', script]);
      expect(made.status, made.stderr).toBe(0);
    };

    gated.test('E90 renaming a directory of the host works, or is EXDEV and `mv` copies: never half', async () => {
      await make('mkdir -p moved/sub; echo a > moved/sub/a; mkdir other; echo o > other/o');
      const rename = 'import errno, os\ntry: os.rename("moved", "renamed")\nexcept OSError as error: print(errno.errorcode[error.errno])\nelse: print("renamed")';

      const run = await area.cli(['run', '--tag', 'e90', '--net', 'off', '--', 'sh', '-c', 'python3 -c "$0"; mv other others; cat renamed/sub/a moved/sub/a 2>/dev/null; cat others/o; ls', rename]);

      expect(run.status, run.stderr).toBe(0);
      const [how, ...seen] = run.stdout.trimEnd().split('\n');
      expect(['EXDEV', 'renamed']).toContain(how);
      expect(seen).toEqual(expect.arrayContaining(['a', 'o', 'others', how === 'EXDEV' ? 'moved' : 'renamed']));
      expect(seen).not.toContain(how === 'EXDEV' ? 'renamed' : 'moved');
      expect(readdirSync(area.project).filter((name) => /moved|renamed|other/.test(name)).sort()).toEqual(['moved', 'other']);
      await area.cli(['discard', 'e90', '--yes']);
    });

    gated.test('E93 what a replaced directory hides is told without any program of the system', async () => {
      await make('mkdir -p again; echo a > again/a; echo b > again/b');
      const run = await area.cli(['run', '--tag', 'e93', '--net', 'off', '--', 'sh', '-c', 'rm -r again; mkdir again; echo c > again/c']);
      expect(run.status, run.stderr).toBe(0);

      const diff = await area.native(['env', 'PATH=/nonexistent', ...area.argv(['diff', '--tag', 'e93', '--name-only'])]);

      expect(diff.stdout).toBe(['a', 'b', 'c'].map((name) => `${join(area.project, 'again', name)}\n`).join(''));
      const commit = await area.native(['env', 'PATH=/nonexistent', ...area.argv(['commit', 'e93', '--yes'])]);
      expect(commit.status, commit.stderr).toBe(0);
      expect(readdirSync(join(area.project, 'again'))).toEqual(['c']);
    });

    gated.test('a directory made anew as it was is no change itself: what it hides is, everywhere alike, and all of it chosen is all of it', async () => {
      await make('mkdir -p anew/sub; for f in anew/a anew/same anew/sub/b; do echo old > $f; done');
      const run = await area.cli(['run', '--tag', 'renewed', '--net', 'off', '--', 'sh', '-c', 'rm -r anew; mkdir -p anew/sub; echo old > anew/same; echo new > anew/c; echo new > anew/sub/d']);
      const names = ['a', 'c', 'sub/b', 'sub/d'].map((name) => join(area.project, 'anew', name));
      expect(run.stderr).toContain('agentfw: 2 added, 2 deleted in renewed\n');

      const { changes, counts } = jsonOf<{ changes: { path: string }[]; counts: object }>(await area.cli(['diff', 'renewed', '--json']));
      expect(changes.map(({ path }) => path).sort()).toEqual(names);
      expect(counts).toMatchObject({ total: 4, add: 2, modify: 0, delete: 2 });
      expect((await area.cli(['diff', 'renewed', '--stat'])).stdout).toMatch(/\n2 added, 2 deleted\n$/);
      expect((await area.cli(['diff', '--tag', 'renewed', '--name-only', 'anew'])).stdout.trimEnd().split('\n').sort()).toEqual(names);
      const dry = (await area.cli(['commit', 'renewed', '--dry-run'])).stderr;
      expect(dry).toContain('4 other changes:\n');
      expect(dry).toContain('\n2 added, 2 deleted, digest ');

      expect((await area.cli(['commit', '--tag', 'renewed', '--yes', ...names])).stderr).toContain('Landed 4 changes: 2 added, 2 deleted\n');

      // Nothing hides what the host puts there from now on.
      await make('echo later > anew/later');
      expect((await area.cli(['diff', 'renewed', '--name-only'])).stdout).toBe('');
      expect((await area.cli(['run', '--in', 'renewed', '--net', 'off', '--', 'cat', 'anew/later'])).stdout).toBe('later\n');
      await area.cli(['discard', 'renewed', '--yes']);
    });

    if (identity.uid !== 0) gated.test('what lies in a directory that the host closed meanwhile is refused, the rest lands, and nothing is left half way (I10)', async () => {
      await make('mkdir shut; echo old > shut/old');
      const run = await area.cli(['run', '--tag', 'closed', '--net', 'off', '--', 'sh', '-c', 'echo new > shut/new; echo edited > shut/old; echo beside > beside']);
      expect(run.status, run.stderr).toBe(0);
      for (const mode of ['555', '0']) {
        await make(`chmod ${mode} shut`);
        const { changes } = jsonOf<{ changes: { path: string; conflict: string | null }[] }>(await area.cli(['diff', 'closed', '--json']));
        expect(changes.map(({ path, conflict }) => [path.slice(area.project.length + 1), conflict])).toEqual([['beside', null], ['shut/new', 'permission'], ['shut/old', 'permission']]);
      }

      const commit = await area.cli(['commit', 'closed', '--yes']);

      await make('chmod 700 shut');
      expect(commit).toMatchObject({ status: 1, stderr: expect.stringContaining(`not landed ${join(area.project, 'shut/old')}: you may not write there\nLanded 1 change`) as string });
      expect((await area.cli(['recover'])).stderr).toBe('Nothing was interrupted.\n');
      expect((await area.cli(['commit', 'closed', '--yes'])).status).toBe(0);
      expect([readdirSync(join(area.project, 'shut')), existsSync(join(area.project, 'beside'))]).toEqual([['new', 'old'], true]);
    });

    if (identity.uid !== 0) gated.test('changes in a directory that the host closed meanwhile can be dropped', async () => {
      await make('mkdir sealed; echo old > sealed/old');
      const run = await area.cli(['run', '--tag', 'drop', '--net', 'off', '--', 'sh', '-c', 'echo new > sealed/new; echo edited > sealed/old']);
      expect(run.status, run.stderr).toBe(0);
      await make('chmod 0 sealed');

      expect(await area.cli(['discard', 'drop', 'sealed/new', '--yes', '--json'])).toMatchObject({ status: 0 });
      expect(await area.cli(['commit', 'drop', '--yes', '--take', 'host', 'sealed/old'])).toMatchObject({ status: 0 });
      expect((await area.cli(['diff', 'drop', '--name-only'])).stdout).toBe('');
      const [{ id = '' } = {}] = jsonOf<{ commits: { id: string }[] }>(await area.cli(['log', '--commits', '--json'])).commits;
      await make('chmod 700 sealed');
      expect(await area.cli(['undo', id])).toMatchObject({ status: 0 });
      expect((await area.cli(['diff', 'drop', '--name-only'])).stdout).toBe(`${join(area.project, 'sealed/old')}\n`);
    });

    gated.test('a file with several names and without write permission lands in place (I12)', async () => {
      await make('echo old > kept; ln kept name; chmod 400 kept');
      const run = await area.cli(['run', '--tag', 'several', '--net', 'off', '--', 'sh', '-c', 'echo new > fresh; chmod 400 fresh; mv -f fresh kept']);
      expect(run.status, run.stderr).toBe(0);

      const commit = await area.cli(['commit', 'several', '--yes', '--json']);
      expect(commit.status, commit.stdout).toBe(0);
      await make('[ "$(cat name)" = new ]; [ "$(stat -c "%h %a" name)" = "2 400" ]');
      expect((await area.cli(['undo', (JSON.parse(commit.stdout) as { commit: string }).commit])).status).toBe(0);
      await make('[ "$(cat kept)" = old ]; [ "$(stat -c "%h %a" name)" = "2 400" ]');
    });

    // In a mount namespace of its own, as other tests mount meanwhile.
    if (identity.uid === 0) gated.test('E27 looking at a layer mounts nothing', async () => {
      const run = await area.cli(['run', '--tag', 'e27', '--net', 'off', '--', 'sh', '-c', 'echo x > looked']);
      expect(run.status, run.stderr).toBe(0);
      const probe = `before=$(cat /proc/self/mountinfo); "$@" > /dev/null || exit 9; [ "$before" = "$(cat /proc/self/mountinfo)" ]`;

      const looked = await area.native(['unshare', '--mount', 'sh', '-c', probe, 'sh', ...area.argv(['diff', '--tag', 'e27', '--stat'])]);

      expect(looked.status, looked.stderr).toBe(0);
      await area.cli(['discard', 'e27', '--yes']);
    });

    needs('git').test('E123 a checkout on the host between two runs leaves git whole on both sides', async () => {
      const git = 'git -c user.name=n -c user.email=e';
      await make(`mkdir repository; cd repository; git init -q -b main; echo 1 > file; git add file; ${git} commit -q -m one; git checkout -q -b other; echo 2 > file; ${git} commit -q -a -m two; git checkout -q main`);
      const inside = (script: string, words: readonly string[]): ReturnType<Area['cli']> => area.cli(['run', ...words, '--net', 'off', '--', 'sh', '-euc', script]);
      const first = await inside(`cd repository; echo agent > added; git add added; ${git} commit -q -m agent`, ['--tag', 'e123']);
      expect(first.status, first.stderr).toBe(0);

      await make('cd repository; git checkout -q other');
      const second = await inside('cd repository; git log --format=%s -1 main; git fsck --no-progress; git status --porcelain > /dev/null; cat added', ['--in', 'e123']);

      expect(second.status, second.stderr).toBe(0);
      expect(second.stdout).toBe('agent\nagent\n');
      await make('cd repository; git fsck --no-progress; [ "$(cat file)" = 2 ]; [ "$(git symbolic-ref --short HEAD)" = other ]');
      expect(existsSync(join(area.project, 'repository/added'))).toBe(false);
      expect(readFileSync(join(area.project, 'repository/.git/HEAD'), 'utf8')).toBe('ref: refs/heads/other\n');
      await area.cli(['discard', 'e123', '--yes']);
    });
  });
}
