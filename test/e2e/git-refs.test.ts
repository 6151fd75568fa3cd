/** What of a repository means nothing, or does harm, without something else of it that does not land. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay', 'git');

for (const identity of identities()) {
  describe(`references as ${identity.name}`, () => {
    let area: Area;
    const host = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await area.native(['bash', '-euc', script]);
      expect(status, stderr).toBe(0);
      return stdout;
    };
    const names = (): Promise<string> => host('git for-each-ref --format="%(refname) %(contents:subject)"; git status --short');
    const cli = async (words: readonly string[], status = 0): Promise<void> => {
      const outcome = await area.cli([...words]);
      expect(outcome.status, outcome.stderr).toBe(status);
    };

    beforeEach(async () => {
      area = createArea(identity);
      await host('git config --global user.name n; git config --global user.email n@e; git config --global init.defaultBranch main; git init -q; git commit -q --allow-empty -m one; git branch old; git pack-refs --all; git commit -q --allow-empty -m two; git branch feature/a; git tag t; sleep 0.05');
    });
    afterEach(() => area.remove());

    test('stay where the host has packed ones of its own since', async () => {
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'pack-refs', '--all']);
      await host('git branch -qD old');
      const before = await names();

      // The references conflict by themselves, unless their bases were captured.
      const { refused } = jsonOf<{ refused: { path: string }[] }>(await area.cli(['commit', 'box', '--yes', '--json']));

      expect(refused.map(({ path }) => path.slice(join(area.project, '.git/').length)).sort()).toEqual(expect.arrayContaining(['packed-refs', 'refs/heads/feature/a', 'refs/heads/main', 'refs/tags/t']));
      expect(await names()).toBe(before);
    });

    test('stay where the packed ones are held back, or not asked for, and are discarded with them', async () => {
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'git replace HEAD HEAD~ && git pack-refs --all']);
      const before = await names();
      await cli(['commit', 'box', '--yes'], 3);
      await cli(['commit', 'box', '--yes', '.git/refs'], 1);
      expect(await names()).toBe(before);

      await cli(['discard', 'box', '--yes', '.git/packed-refs']);
      const inside = await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'git', 'for-each-ref', '--format=%(refname) %(contents:subject)']);
      expect(inside.stdout).toBe(before);
    });

    test('a merge that the agent left open comes with its index, or not at all', async () => {
      await host('git switch -qc side; echo side > side; git add .; git commit -qm side; git switch -q main; echo 1 > f; git add f; git commit -qm f');
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'merge', '-q', '--no-ff', '--no-commit', 'side']);
      await host('echo host > h; git add h');

      await cli(['commit', 'box', '--yes'], 3);
      expect(await host('ls .git | grep -e _HEAD -e MERGE || true; git commit -qm host; git log -1 --format=%p | wc -w')).toBe('ORIG_HEAD\n1\n');
    });

    test('a rebase that the agent left open comes with its HEAD, or not at all', async () => {
      await host('git switch -qc side; echo side > o; git add .; git commit -qm side; git switch -q main; echo main > o; git add o; git commit -qm main');
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'git rebase -q side || true; [ -d .git/rebase-merge ]']);
      await host('git commit -q --allow-empty -m host; echo h > h; git add h; git commit -qm "host 2"');

      await cli(['commit', 'box', '--yes'], 3);
      expect(await host('ls -d .git/rebase-merge .git/REBASE_HEAD 2>/dev/null || true; git rebase --abort 2>/dev/null || true; git log -1 --format=%s')).toBe('host 2\n');
    });

    test('a work tree that stays keeps what git has of it', async () => {
      await host('git worktree add -q wt old; echo user > wt/new; sleep 0.05');
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'worktree', 'remove', '--force', 'wt']);
      await host('echo more >> wt/new');

      await cli(['commit', 'box', '--yes'], 3);
      expect(await host('cat wt/new; git -C wt status --short --branch')).toBe('user\nmore\n## old\n?? new\n');
    });

    test('a work tree that was removed is gone when that lands, and comes back', async () => {
      await host('git worktree add -q wt old; git worktree add -q wt2 HEAD; sleep 0.05');
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'worktree', 'remove', 'wt']);

      await cli(['commit', 'box', '--yes', '--', '.git/worktrees/wt/commondir'], 1);
      expect(await host('ls .git/worktrees/wt/HEAD')).toContain('HEAD');
      await cli(['commit', 'box', '--yes']);
      expect(await host('ls .git/worktrees; ls -d wt 2>/dev/null || git worktree list | wc -l')).toBe('wt2\n2\n');
      await cli(['undo']);
      expect(await host('git -C wt status --short --branch')).toBe('## old\n');

      // Alone it makes a repository of its own of what is there.
      await cli(['run', '--tag', 'own', '--net', 'off', '--', 'rm', '.git/worktrees/wt/commondir']);
      await cli(['commit', 'own', '--yes'], 3);
      expect(await host('ls .git/worktrees/wt/commondir')).toContain('commondir');
    });

    test('a work tree that is given back has its git directory again', async () => {
      await host('git worktree add -q wt old; sleep 0.05');
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'worktree', 'remove', 'wt']);

      await cli(['discard', 'box', '--yes', 'wt']);
      const inside = await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'git', '-C', 'wt', 'status', '--short', '--branch']);
      expect(inside).toMatchObject({ status: 0, stdout: '## old\n' });
    });

    test('land with them, and come back', async () => {
      await cli(['run', '--tag', 'box', '--net', 'off', '--', 'git', 'pack-refs', '--all']);
      const before = await names();
      await cli(['commit', 'box', '--yes']);
      expect(await host('ls .git/refs/heads; git for-each-ref --format="%(refname) %(contents:subject)"; git status --short')).toBe(before);
      await cli(['undo']);
      expect(await names()).toBe(before);
    });
  });
}
