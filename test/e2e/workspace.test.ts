/** What the agent was started to work on is the project, not only the directory it stood in. */
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');
const git = (dir: string): string[] => ['git', '-C', dir, '-c', 'user.name=a', '-c', 'user.email=a@b'];

for (const identity of identities()) {
  describe(`the workspace as ${identity.name}`, () => {
    let area: Area;
    let repository: string;
    beforeAll(async () => {
      area = createArea(identity);
      repository = `${area.home}/main`;
      const made = await area.native(['sh', '-c', [
        'git init -q -b main "$1"; cd "$1"; git config user.name a; git config user.email a@b',
        'mkdir sub; echo 1 > f; echo 2 > sub/g; git add .; git commit -qm first; git worktree add -q ../tree',
      ].join('; '), 'sh', repository]);
      expect(made.status, made.stderr).toBe(0);
    });
    afterAll(() => area.remove());

    const lands = async (tag: string, cwd: string): Promise<void> => {
      const run = await area.cli(['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', `echo ${tag} > made && git add made && git commit -qm ${tag}`], { cwd });
      expect(run.status, run.stderr).toBe(0);
      const commit = await area.cli(['commit', tag, '--yes'], { cwd });
      expect(commit.status, commit.stdout + commit.stderr).toBe(0);
      const log = await area.native([...git(cwd), 'log', '-1', '--format=%s']);
      expect(log.stdout.trim()).toBe(tag);
      const status = await area.native([...git(cwd), 'status', '--porcelain']);
      expect(status.stdout).toBe('');
    };

    test('a git commit made in a subdirectory lands whole', () => lands('sub', `${repository}/sub`));

    test('E138 a git commit made in a worktree lands whole, its shared git directory with it', () => lands('tree', `${area.home}/tree`));

    test('WR07 hooks and executing keys of that git directory are held back all the same', async () => {
      const cwd = `${area.home}/tree`;
      const run = await area.cli(['run', '--tag', 'trap', '--net', 'off', '--', 'sh', '-c',
        'hooks=$(git rev-parse --git-common-dir)/hooks; echo "#!/bin/sh" > "$hooks/pre-commit"; git config core.pager evil; echo x > ../stray'], { cwd });
      expect(run.status, run.stderr).toBe(0);
      const commit = await area.cli(['commit', 'trap', '--yes'], { cwd });
      expect(commit.status).toBe(3);
      for (const held of ['hooks/pre-commit  (git hook)', '.git/config  (git configuration: core.pager)', 'stray  (in your home, outside the workspace)']) {
        expect(commit.stdout + commit.stderr).toContain(held);
      }
    });
  });
}
