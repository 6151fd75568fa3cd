/** A repository that the user goes on using while an agent commits in it. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

interface Done {
  readonly counts: { readonly landed: number };
  readonly refused: readonly { readonly path: string; readonly why: string; readonly conflict: string | null }[];
}

const { test } = needs('userns', 'overlay', 'git');
const AGENT = 'git switch -q -c work; echo agent >>f1; echo new >g; git add .; git commit -qm agent; git status --short';
/** An object in the directory in which the host's `2 user` will lie: both make that directory. */
const BESIDE = 'n=0; until [[ $(echo $n | git hash-object --stdin) = ec* ]]; do n=$((n + 1)); done; echo $n | git hash-object -w --stdin';
/** What a shell's prompt does: files that were touched make it write the index anew. */
const PROMPT = 'touch -d 2001-01-01 f3; git status --short';

for (const identity of identities()) {
  describe(`git life as ${identity.name}`, () => {
    let area: Area;
    const host = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await area.native(['bash', '-euc', script]);
      expect(status, stderr).toBe(0);
      return stdout;
    };
    const agent = async (script: string, ...flags: readonly string[]): Promise<void> => {
      const { status, stderr } = await area.cli(['run', ...flags, '--net', 'off', '--', 'bash', '-euc', script]);
      expect(status, stderr).toBe(0);
    };
    const land = async (...words: readonly string[]): Promise<Done> => jsonOf<Done>(await area.cli(['commit', 'box', '--yes', '--json', ...words]));
    const refused = ({ refused }: Done): Record<string, string> =>
      Object.fromEntries(refused.map(({ path, why, conflict }) => [path.slice(area.project.length + 1), `${why} ${conflict ?? ''}`.trim()]));
    /** What HEAD, index and work tree say, and that no object is missing. */
    const sound = async (): Promise<string> => host('git fsck --strict --no-dangling 2>&1; git status --short --branch');

    beforeEach(async () => {
      area = createArea(identity);
      await host('git config --global user.name n; git config --global user.email n@e; git config --global init.defaultBranch main; git config --global gc.auto 0; git init -q; for n in 1 2 3; do echo $n >f$n; done; git add .; git commit -qm one; sleep 0.05');
    });
    afterEach(() => area.remove());

    test('what the prompt does to the index is no conflict, round after round', async () => {
      await agent(AGENT, '--tag', 'box');
      await host(PROMPT);

      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## work\n');

      await host(PROMPT);
      await agent('echo more >>f2; git commit -qam two', '--in', 'box');
      await host(PROMPT);
      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## work\n');
      expect((await host('git log --format=%s')).split('\n')).toEqual(['two', 'agent', 'one', '']);
    });

    test('where both sides committed on one branch, no line of git’s own is merged, and the hint’s commands merge the commits', async () => {
      await host('seq 9 > long; git add .; git commit -qm long; sleep 0.05');
      await agent('sed -i s/^1/agent/ long; echo new > g; git add .; git commit -qm agent', '--tag', 'box');
      await host('sed -i s/^9/host/ long; git commit -qam host');

      const { status, stderr } = await area.cli(['commit', 'box', '--yes', '--merge=markers']);
      expect(status).toBe(3);
      expect(stderr).toMatch(/^not merged .*\.git\/logs\/HEAD: git keeps it/m);
      expect(stderr).not.toMatch(/markers .*\.git\/(refs|logs)/);
      const [, branch = '', objects = ''] = /git merge \$\(agentfw show (box:\S+)\); where git lacks that commit, agentfw commit box -- (\S+) first/.exec(stderr) ?? [];
      expect(objects).toBe(join(area.project, '.git/objects'));

      await area.cli(['undo']);
      await area.cli(['commit', 'box', '--yes', '--', objects]);
      const commit = (await area.cli(['show', branch])).stdout.trim();
      await host(`git merge -q -m both ${commit}`);
      expect(await sound()).toBe('## main\n');
      expect(await host('head -1 long; tail -1 long; cat g')).toBe('agent\nhost\nnew\n');
    });

    test('a discard of the new objects takes along what names them: neither side is left broken', async () => {
      await agent(`${AGENT}; git tag v`, '--tag', 'box');

      const { added } = jsonOf<{ added: string[] }>(await area.cli(['discard', 'box', '--yes', '--json', '.git/objects']));
      const names = added.map((path) => path.slice(area.project.length + 1));
      expect(names).toEqual(expect.arrayContaining(['.git/HEAD', '.git/index', '.git/logs/HEAD', '.git/refs/heads/work', '.git/refs/tags/v']) as string[]);
      await agent('test "$(git fsck --no-dangling 2>&1)" = ""; test "$(git branch --show-current)" = main', '--in', 'box');
      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## main\n M f1\n?? g\n');
    });

    test('what the agent checked out stays when its branch does: packed by both, it conflicts', async () => {
      await agent('git switch -qc work; git pack-refs --all', '--tag', 'box');
      await host('git branch side; git pack-refs --all');

      expect(refused(await land())).toMatchObject({ '.git/packed-refs': 'conflict created', '.git/HEAD': 'conflict created' });
      expect(await sound()).toBe('## main\n');
      expect(await host('git branch --format="%(refname:short)"')).toBe('main\nside\n');
    });

    test('nor does a new work tree come without what is checked out in it', async () => {
      await agent('git worktree add -q ../tree -b work; git pack-refs --all', '--tag', 'box');
      await host('git branch side; git pack-refs --all');

      expect(refused(await land())).toMatchObject({ '.git/packed-refs': 'conflict created', '.git/worktrees/tree': 'conflict created' });
      expect(await sound()).toBe('## main\n');
      expect((await host('git worktree list --porcelain | grep -c ^worktree'))).toBe('1\n');
    });

    test('its files do, and not what would lead to a git directory that is not there', async () => {
      await agent('git worktree add -q ../tree -b work; git init -q ../up; (cd ../up; git commit -q --allow-empty -m up); git -c protocol.file.allow=always submodule --quiet add "$PWD/../up" sub', '--tag', 'box');
      const accepted = await area.cli(['commit', 'box', '--yes', '--json', '--accept-control', join(area.project, '..'), '--', join(area.project, '../tree'), 'sub']);

      expect(Object.values(refused(jsonOf(accepted))).sort()).toEqual(['with', 'with']);
      expect(await host('ls -A ../tree sub')).toBe('../tree:\nf1\nf2\nf3\n\nsub:\n');
      expect((await area.cli(['commit', 'box', '--yes', '--accept-control', join(area.project, '..')])).status).toBe(0);
      expect(await host('git -C ../tree status --short; git -C sub status --short; git status --short; git fsck --no-dangling 2>&1')).toBe('A  .gitmodules\nA  sub\n');
    });

    test('a HEAD is discarded with the branch that it names, and what leads to a git directory with that', async () => {
      await agent('git switch -q -c work; echo agent >>f1; git commit -qam agent; git worktree add -q ../tree -b side', '--tag', 'box');
      const { commit, added } = jsonOf<{ commit: string; added: string[] }>(await area.cli(['discard', 'box', '--yes', '--json', '.git/refs']));

      expect(added).toEqual(expect.arrayContaining(['.git/HEAD', '.git/worktrees/tree/HEAD', '../tree/.git'].map((path) => join(area.project, path))) as string[]);
      const seen = await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'bash', '-euc', 'git status --short --branch; git fsck --no-dangling; ls -A ../tree']);
      expect(seen).toMatchObject({ status: 0, stdout: '## main\nM  f1\nf1\nf2\nf3\n' });
      expect((await area.cli(['undo', commit])).status).toBe(0);
      expect((await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'git', 'status', '--branch', '--short'])).stdout).toBe('## work\n');
    });

    test('while the host\'s git holds the index, it stays in the sandbox with its branch; an undo waits likewise', async () => {
      await agent(AGENT, '--tag', 'box');
      await host('touch .git/index.lock');

      expect(refused(await land())).toMatchObject({ '.git/index': 'failed', '.git/HEAD': 'with' });
      expect((await host('git symbolic-ref HEAD; git fsck --no-dangling 2>&1; git diff --cached'))).toBe('refs/heads/main\n');
      await host('rm .git/index.lock');
      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## work\n');

      await host('touch .git/index.lock');
      expect((await area.cli(['undo'])).stderr).toContain('git is at work in the repository');
      await host('rm .git/index.lock');
      expect(await sound()).toBe('## work\n');
    });

    test('a repository that landed whole goes on in the same way', async () => {
      await agent('git init -q new; cd new; echo a >a; git add .; git commit -qm one', '--tag', 'box');
      expect(refused(await land('--accept-control', 'new'))).toEqual({});

      await host('cd new; touch -d 2001-01-01 a; git status');
      await agent('cd new; echo b >b; git add b; git commit -qm two', '--in', 'box');
      await host('cd new; touch -d 2002-01-01 a; git status');
      expect(refused(await land())).toEqual({});
      expect(await host('cd new; git fsck --strict --no-dangling; git status --short; git log --format=%s')).toBe('two\none\n');
    });

    test('an agent that only looked takes nothing back of what the user staged', async () => {
      await host('touch -d 2001-01-01 f1');
      await agent('git status; echo agent >>f2', '--tag', 'box');
      await host('echo user >>f3; git add f3');

      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## main\n M f2\nM  f3\n');
    });

    test('a branch is not checked out without its index, and the commit is there all the same', async () => {
      await agent(AGENT, '--tag', 'box');
      await host('echo user >>f2; git commit -qam user');

      expect(refused(await land())).toMatchObject({ '.git/index': 'conflict changed', '.git/HEAD': 'conflict changed' });
      expect(await sound()).toBe('## main\n M f1\n?? g\n');
      expect(await host('git log --format=%s work; git show work:g')).toBe('agent\none\nnew\n');
    });

    test('the branch that is checked out does not move without its index, and other branches do', async () => {
      await agent(`git branch side; echo agent >>f1; git commit -qam agent; git branch copy; ${BESIDE}`, '--tag', 'box');
      await host('echo user >>f2; git add f2');

      const done = await land();
      expect(refused(done)).toEqual({ '.git/index': 'conflict changed', '.git/refs/heads/main': 'conflict changed' });
      expect(await sound()).toBe('## main\n M f1\nM  f2\n');
      expect(await host('git log --format=%s copy; git log --format=%s side')).toBe('agent\none\none\n');

      // What the hint says to do.
      expect(refused(await land('--take', 'sandbox', join(area.project, '.git/index')))).toEqual({});
      expect(await sound()).toBe('## main\n M f2\n');
      expect(await host('git log --format=%s')).toBe('agent\none\n');
    });

    test('one of them named brings the others; the host’s taken of one is the host’s of all', async () => {
      await agent('echo agent >>f1; git commit -qam agent', '--tag', 'box');
      await land('--take', 'host', join(area.project, '.git/refs/heads/main'));
      expect(await sound()).toBe('## main\n M f1\n');

      await agent('git checkout -q f1; git switch -qc work; echo more >>f1; git commit -qam more', '--in', 'box');
      await land(join(area.project, '.git/HEAD'), join(area.project, '.git/objects'), join(area.project, '.git/refs/heads/work'), join(area.project, 'f1'));
      expect(await sound()).toBe('## work\n');
    });

    test('no branch lands without its objects, and objects do without it', async () => {
      await agent('git branch side; echo agent >>f1; git commit -qam agent; git branch copy', '--tag', 'box');
      const refs = join(area.project, '.git/refs');
      expect(Object.keys(refused(await land(refs))).sort()).toEqual(['.git/index', '.git/refs/heads/copy', '.git/refs/heads/main', '.git/refs/heads/side']);
      expect(await sound()).toBe('## main\n');

      expect(refused(await land(join(area.project, '.git/objects')))).toEqual({});
      expect(await sound()).toBe('## main\n');
      expect(refused(await land(refs, join(area.project, 'f1')))).toEqual({});
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s')).toBe('agent\none\n');
    });

    test('what the agent’s gc removed stays as long as the host has other references', async () => {
      await host('git switch -qc gone; echo lost >>f1; git commit -qam lost; git switch -q main; git branch -m gone old; sleep 0.05');
      await agent('git branch -D old; git reflog expire --expire=now --all; git gc -q --prune=now; echo agent >>f2; git commit -qam agent', '--tag', 'box');
      const lost = (await host('git rev-parse old')).trim();
      await host(`git branch rescue ${lost}`);

      await land();
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s rescue')).toBe('lost\none\n');
    });

    test('what the agent’s gc removed goes with its references, and comes back with them', async () => {
      await host('git branch old; git switch -q old; echo lost >>f1; git commit -qam lost; git switch -q main; sleep 0.05');
      await agent('git branch -D old; git reflog expire --expire=now --all; git gc -q --prune=now', '--tag', 'box');

      expect(Object.keys(refused(await land(join(area.project, '.git/objects')))).length).toBeGreaterThan(0);
      expect(await host('git log --format=%s old')).toBe('lost\none\n');
      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## main\n');
      expect(await host('git branch --format="%(refname:short)"')).toBe('main\n');

      expect((await area.cli(['undo'])).status).toBe(0);
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s old')).toBe('lost\none\n');
    });

    test('a branch that was packed from the start, and packed again with another value, is a conflict', async () => {
      await host('git pack-refs --all; sleep 0.05');
      await agent('echo agent >>f1; git commit -qam agent; git branch mine', '--tag', 'box');
      await host('git commit -q --allow-empty -m user; git branch theirs; git pack-refs --all');

      expect(refused(await land())).toMatchObject({ '.git/refs/heads/main': expect.stringContaining('conflict') });
      expect(await host('git fsck --strict --no-dangling; git log --format=%s main; git log --format=%s mine')).toBe('user\none\nagent\none\n');
    });

    test('a branch that was packed from the start, and packed again with the same value, is none', async () => {
      await host('git pack-refs --all; sleep 0.05');
      await agent('echo agent >>f1; git commit -qam agent', '--tag', 'box');
      await host('git branch theirs; git pack-refs --all');

      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s main')).toBe('agent\none\n');

      // Packed after it landed: what landed is known.
      await host('git pack-refs --all');
      await agent('echo more >>f1; git commit -qam more', '--in', 'box');
      await host('git pack-refs --all');
      expect(refused(await land())).toEqual({});
      await agent('echo last >>f1; git commit -qam last', '--in', 'box');
      await host('git commit -q --allow-empty -m user; git pack-refs --all');
      expect(refused(await land())).toMatchObject({ '.git/refs/heads/main': expect.stringContaining('conflict') });
      expect(await host('git fsck --strict --no-dangling; git log --format=%s main')).toBe('user\nmore\nagent\none\n');
    });

    test('directories that only look like those of git are like others', async () => {
      await host('mkdir -p objects/ab logs; echo 1 >index; echo 1 >objects/ab/one; sleep 0.05');
      await agent('rm -r objects/ab; mkdir objects/cd; echo 2 >objects/cd/two; echo 2 >index; echo 2 >logs/x', '--tag', 'box');
      await host('echo 2 >logs/y');

      expect(refused(await land(join(area.project, 'index')))).toEqual({});
      expect(refused(await land())).toEqual({});
      expect(await host('ls objects; cat index')).toBe('cd\n2\n');
    });

    test('what came by git fetch, stash and gc stays, and moves no reference of the agent', async () => {
      await agent('echo agent >>f1; git commit -qam agent', '--tag', 'box');
      await host('git clone -q . ../other; cd ../other; echo o >o; git add o; git commit -qm other; cd -; git fetch -q ../other main:theirs; git gc -q; rm -rf ../other');

      expect(refused(await land())).toEqual({});
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s main; git log --format=%s theirs')).toBe('agent\none\nother\none\n');
    });

    test('a reference that was packed with another value is a conflict', async () => {
      await agent('echo agent >>f1; git commit -qam agent', '--tag', 'box');
      await host('git commit -q --allow-empty -m user; git pack-refs --all');

      expect(refused(await land())).toMatchObject({ '.git/refs/heads/main': 'conflict changed' });
      expect(await host('git fsck --strict --no-dangling; git log --format=%s main')).toBe('user\none\n');
    });
  });
}
