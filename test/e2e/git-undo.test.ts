/** Taking back what an agent committed, in a repository that the user goes on using: never is an object missing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

interface Done {
  readonly commit: string;
  readonly refused: readonly { readonly path: string; readonly conflict: string | null }[];
}

const { test } = needs('userns', 'overlay', 'git');
const AGENT = 'git switch -q -c work; echo agent >>f1; echo new >g; git add .; git commit -qm agent';
const SET_UP =
  'git config --global user.name n; git config --global user.email n@e; git config --global init.defaultBranch main; git config --global gc.auto 0; ' +
  'git init -q; for n in 1 2 3; do echo $n >f$n; done; git add .; git commit -qm one; sleep 0.05';
/** What a shell's prompt does: files that were touched make it write the index anew. */
const PROMPT = 'touch -d 2001-01-01 f3; git status --short';

for (const identity of identities()) {
  describe(`undo of a git commit as ${identity.name}`, () => {
    let area: Area;
    const host = async (script: string): Promise<string> => {
      const { status, stdout, stderr } = await area.native(['bash', '-euc', script]);
      expect(status, stderr).toBe(0);
      return stdout;
    };
    const landed = async (script: string, ...words: readonly string[]): Promise<void> => {
      const { status, stderr } = await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'bash', '-euc', script]);
      expect(status, stderr).toBe(0);
      const commit = await area.cli(['commit', 'box', '--yes', ...words]);
      expect(commit.status, commit.stdout + commit.stderr).toBe(0);
    };
    const undo = async (...commit: readonly string[]): Promise<Done> => jsonOf<Done>(await area.cli(['undo', '--json', ...commit]));
    /** What stayed, objects as one. */
    const stayed = ({ refused }: Done): readonly string[] =>
      [...new Set(refused.map(({ path }) => path.slice(area.project.length + 1).replace(/^(.*objects)\/.*/, '$1')))].sort();
    /** What HEAD, index and work tree say, and that no object is missing. */
    const sound = async (): Promise<string> => host('git fsck --strict --no-dangling 2>&1; git status --short --branch');

    beforeEach(async () => {
      area = createArea(identity);
      await host(SET_UP);
    });
    afterEach(() => area.remove());

    test('a HEAD that went elsewhere and came back inside is the host’s: the objects go, too', async () => {
      await host('git switch -q -c side; echo s >s; git add s; git commit -qm side; git switch -q main; echo 2 >>f2; git commit -qam two; git switch -q side');
      await landed('git rebase -q main; git tag -a v1 -m v1');

      expect(stayed(await undo())).toEqual([]);
      expect(await sound()).toBe('## side\n');
    });

    test('what the prompt did to the index is in no one’s way, to and fro', async () => {
      await landed(AGENT);
      await host(PROMPT);

      const done = await undo();
      expect(stayed(done)).toEqual([]);
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --all --format=%s; git count-objects')).toMatch(/^one\n5 objects/);

      await host(PROMPT);
      expect(stayed(await undo(done.commit))).toEqual([]);
      expect(await sound()).toBe('## work\n');
      expect(await host('git log --format=%s')).toBe('agent\none\n');
    });

    test('a new repository goes whole, although the prompt looked into it', async () => {
      await landed('git init -q new; cd new; echo a >a; git add .; git commit -qm one', '--accept-control', 'new');
      await host('cd new; git update-index --force-untracked-cache; git status');

      expect(stayed(await undo())).toEqual([]);
      expect(existsSync(join(area.project, 'new'))).toBe(false);
      expect(await sound()).toBe('## main\n');
    });

    test('so do a new work tree and a new submodule of one that there was', async () => {
      await host('git init -q ../up; cd ../up; echo s >s; git add .; git commit -qm up');
      const paths = '../tree .git/worktrees .git/modules sub';
      await landed('git worktree add -q ../tree -b side; git -c protocol.file.allow=always submodule --quiet add "$PWD/../up" sub; git commit -qm sub', '--accept-control', area.project, '--accept-control', join(area.project, '../tree'));
      expect(await host(`ls -d ${paths}`)).toBe(`${paths.split(' ').sort().join('\n')}\n`);
      await host('for at in . sub ../tree; do git -C $at update-index --force-write-index; git -C $at status; done');

      expect(stayed(await undo())).toEqual([]);
      expect(await host(`ls -d ${paths} 2>/dev/null || :`)).toBe('');
      expect(await sound()).toBe('## main\n');
      expect(await host('git count-objects')).toMatch(/^5 objects/);
    });

    test('an index that the agent\'s git only wrote anew keeps no object', async () => {
      await landed(`${PROMPT}; git update-ref refs/heads/more "$(git commit-tree -m more 'HEAD^{tree}')"`);
      expect(await host('git log --all --format=%s | sort')).toBe('more\none\n');

      expect(stayed(await undo())).toEqual([]);
      expect(await host('git count-objects')).toMatch(/^5 objects/);
    });

    test('a new repository that the user went on with stays', async () => {
      await landed('git init -q new; cd new; echo a >a; git add .; git commit -qm one', '--accept-control', 'new');
      await host('cd new; echo b >b; git add b');

      expect(stayed(await undo())).toEqual(['new']);
      expect(await host('cd new; git fsck --strict --no-dangling; git status --short')).toBe('A  b\n');
    });

    test('what the user staged keeps the branch, what is checked out and all objects', async () => {
      await landed(AGENT);
      await host('echo user >>f2; git add f2');

      expect(stayed(await undo())).toEqual(['.git/HEAD', '.git/index', '.git/objects', '.git/refs/heads/work']);
      expect(await sound()).toContain('## work\n');
      expect(await host('git log --format=%s; git show work:g')).toBe('agent\none\nnew\n');
    });

    test('a merge or a rebase that it ended is not opened again beside an index that stays', async () => {
      const merge = 'git switch -q -c side; echo s >s; git add s; git commit -qm side; git switch -q main; echo 2 >>f2; git commit -qam two; git merge -q --no-commit side';
      await host(merge);
      await landed('echo agent >>f1; git add f1; git commit -qm merged');
      await host('echo mine >m; git add m');

      expect(stayed(await undo())).toEqual(expect.arrayContaining(['.git/MERGE_HEAD', '.git/index', '.git/refs/heads/main']));
      expect(await host('ls .git | grep MERGE || :; git commit -qm mine; git log --format="%s %p" -1 | wc -w')).toBe('2\n');
      expect(await sound()).toBe('## main\n M f1\n');

      await host('git checkout -q f1; git switch -q -c top HEAD~1; echo t >>f3; git commit -qam top; git switch -q main; git rebase -q -x false top || :');
      await area.cli(['discard', 'box', '--yes']);
      await landed('echo agent >>f1; git commit -qam more; git rebase --continue');
      await host('echo more >m2; git add m2');

      expect((await undo()).refused.length).toBeGreaterThan(3);
      expect(await host('ls .git | grep rebase || :; git status --short --branch')).toBe('## main\n M f1\nA  m2\n');
    });

    test('so does a commit on top, and nothing of either is lost', async () => {
      await landed('echo agent >>f1; git commit -qam agent');
      await host('echo user >>f2; git commit -qam user');

      expect(stayed(await undo())).toEqual(expect.arrayContaining(['.git/index', '.git/objects', '.git/refs/heads/main']));
      expect(await sound()).toBe('## main\n M f1\n');
      expect(await host('git log --format=%s; git show main:f1')).toBe('user\nagent\none\n1\nagent\n');
    });

    test('a branch of the user that leads to it keeps the objects, and goes away first for the rest to go too', async () => {
      await landed(AGENT);
      await host('git branch keep; git config --unset core.logallrefupdates');

      const { status, stderr } = await area.cli(['undo']);
      expect(status).toBe(3);
      expect(stderr).toMatch(/^not taken back \S+\/\.git\/objects\/ \(\d+ paths\): the repository was used since, and may need it$/m);
      expect(stderr.match(/not taken back/g)).toHaveLength(1);
      expect(await sound()).toBe('## main\n');
      expect(await host('git log --format=%s keep; git log --format=%s main')).toBe('agent\none\none\n');
    });

    test('what a sandbox builds on stays for it, and what it builds lands', async () => {
      await landed('echo agent >>f1; git commit -qam agent');
      expect((await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'bash', '-euc', 'echo more >>f2; git commit -qam more'])).status).toBe(0);

      expect(stayed(await undo())).toEqual(['.git/objects']);
      expect(await sound()).toBe('## main\n');
      await area.cli(['commit', 'box', '--yes']);
      expect(await sound()).toContain('## main\n');
      expect(await host('git log --format=%s')).toBe('more\nagent\none\n');
    });

    test('packed by git gc, it is still a sound repository', async () => {
      await landed(AGENT);
      await host('git gc -q');

      await undo();
      expect(await sound()).toBe('## main\n');
    });

    test('a repository without a work tree keeps what its owner leads to', async () => {
      await host('git clone -q --bare . bare.git; sleep 0.05');
      await landed('git clone -q bare.git /tmp/copy; cd /tmp/copy; echo agent >>f1; git commit -qam agent; git push -q');
      await host('cd bare.git; git branch keep');

      expect((await undo()).refused.length).toBeGreaterThan(0);
      expect(await host('cd bare.git; git fsck --strict --no-dangling 2>&1; git log --format=%s keep')).toBe('agent\none\n');
    });
  });
}
