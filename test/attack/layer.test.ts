/** attacks.md C and cow-edge-cases.md: what the agent leaves in its layer for a commit to trip over. */
import { chownSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, eventually, identities, jsonOf, python, type Area, type Outcome } from '../helpers/sandbox.js';

interface Shown {
  readonly path: string;
  readonly kind: string;
  readonly type: string;
  readonly conflict: string | null;
}

const { test } = needs('userns', 'overlay', 'python', 'git');

for (const identity of identities()) {
  describe(`layers as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => { area = createArea(identity); });
    afterEach(() => area.remove());

    const at = (path: string): string => join(area.project, path);
    const put = (path: string, text: string): void => {
      mkdirSync(join(at(path), '..'), { recursive: true });
      writeFileSync(at(path), text);
      for (let dir = at(path); dir !== area.project; dir = join(dir, '..')) chownSync(dir, identity.uid, identity.gid);
    };
    const agent = async (script: string): Promise<Outcome> => {
      const run = await area.cli(['run', '--tag', 't', '--net', 'off', '--', 'sh', '-euc', script]);
      expect(run.status, run.stderr).toBe(0);
      return run;
    };
    const shown = async (): Promise<readonly Shown[]> => {
      const { changes } = jsonOf<{ readonly changes: readonly Shown[] }>(await area.cli(['diff', '--tag', 't', '--json']));
      return changes.map((change) => ({ ...change, path: change.path.replace(`${area.project}/`, '') }));
    };
    const commit = (...paths: readonly string[]): Promise<Outcome> =>
      area.cli(['commit', '--tag', 't', '--yes', ...(paths.length > 0 ? ['--', ...paths] : [])]);

    describe('links', () => {
      test('CW01 a planted symlink lands as a link and nothing is written through it', async () => {
        put('victim/kept', 'kept\n');
        await agent('ln -s victim out; ln -s /etc abs; echo through > out/x');

        expect((await shown()).map(({ kind, path }) => `${kind} ${path}`).sort()).toEqual(['add abs', 'add out', 'add victim/x']);
        expect((await commit('out', 'abs')).status).toBe(0);
        expect(readlinkSync(at('out'))).toBe('victim');
        expect(readlinkSync(at('abs'))).toBe('/etc');
        expect(readdirSync(at('victim'))).toEqual(['kept']);
      });

      test('CW02 a base directory that became a symlink out of the tree never carries its files along', async () => {
        put('dir/inner', 'inner\n');
        mkdirSync(join(area.home, 'secret'));
        chownSync(join(area.home, 'secret'), identity.uid, identity.gid);
        await agent(`rm -r dir; ln -s "${area.home}/secret" dir; echo key > dir/key`);

        const changes = await shown();
        expect(changes.find(({ path }) => path === 'dir')).toMatchObject({ kind: 'type', type: 'symlink' });
        expect(changes.map(({ path }) => path)).toContain(join(area.home, 'secret/key'));
        await commit('dir');
        expect(existsSync(join(area.home, 'secret/key'))).toBe(false);
      });

      test('E105 TC07 a parent replaced by a symlink on the host after review is not followed', async () => {
        put('dir/old', 'old\n');
        await agent('echo new > dir/new; echo changed > dir/old');
        renameSync(at('dir'), at('moved'));
        mkdirSync(at('victim'));
        writeFileSync(at('victim/old'), 'victim\n');
        symlinkSync('victim', at('dir'));

        const done = await commit();
        expect(done.status).not.toBe(0);
        expect(readdirSync(at('victim'))).toEqual(['old']);
        expect(readFileSync(at('victim/old'), 'utf8')).toBe('victim\n');
        expect(readFileSync(at('moved/old'), 'utf8')).toBe('old\n');
      });
    });

    describe('marks and names', () => {
      test('CW05 E94 E99 overlay attributes set by the agent hide nothing and never land', async () => {
        put('dir/kept', 'kept\n');
        await agent(`"${python}" -c '
import os
open("dir/new", "w").close()
for name in ("opaque", "redirect", "metacopy", "origin", "whiteout"):
    for path in ("dir", "dir/new"):
        for family in ("user", "trusted"):
            try: os.setxattr(path, family + ".overlay." + name, b"y")
            except OSError: pass
'`);

        expect((await commit()).status).toBe(0);
        expect(readdirSync(at('dir')).sort()).toEqual(['kept', 'new']);
        const names = await area.native([python, '-c', 'import os; print([n for p in ("dir", "dir/new") for n in os.listxattr(p) if "overlay" in n])']);
        expect(names.stdout.trim()).toBe('[]');
      });

      test('CW10 E101 names and contents send no escape sequence, bidi override or zero-width character', async () => {
        const nasty = ['esc\u001b[31mred', 'bell\u0007', 'rtl\u202egnp.exe', 'zero\u200bwidth', 'new\nline', 'c1\u009b31m'];
        for (const name of nasty) put(`old-${name}`, 'x\n');
        put('text', 'plain\n');
        await agent(`printf 'esc \\033]0;title\\007 rtl \\342\\200\\256 \\302\\233 end\\n' > text; for f in old-*; do rm "$f"; done; mkdir new; ${nasty.map((name) => `touch "new/${name}"`).join('; ')}`);

        const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]/;
        for (const args of [['diff', 't', '--stat'], ['diff', 't', '--json'], ['commit', '--tag', 't', '--dry-run']]) {
          const { stdout, stderr } = await area.cli(args);
          expect(`${stdout}${stderr}`, args.join(' ')).not.toBe('');
          expect(`${stdout}${stderr}`, args.join(' ')).not.toMatch(control);
        }
        // On a pipe a patch and names are exact bytes for programs; on a terminal they are for people.
        for (const args of [['diff', 't', '--no-color'], ['diff', 't', '--name-only'], ['list'], ['status', 't']]) {
          const line = area.argv(args).map((word) => `'${word}'`).join(' ');
          const onTerminal = await area.native(['script', '-qec', line, '/dev/null'], { env: { PAGER: 'cat' } });
          expect(onTerminal.stdout, args.join(' ')).not.toBe('');
          expect(onTerminal.stdout.replaceAll('\r', ''), args.join(' ')).not.toMatch(control);
        }
      });

      test('CW22 a path outside the changes commits nothing', async () => {
        await agent('echo x > new');

        const done = await commit('../../etc');
        expect(done.status).not.toBe(0);
        expect(existsSync(at('new'))).toBe(false);
      });

      test('CW23 nothing that the agent configured for git is run by `diff`, `commit` or `export`', async () => {
        await area.native(['git', 'init', '-q', '.']);
        put('file.txt', 'one\n');
        const bait = join(area.dir, 'bait');
        await agent(`
          echo two > file.txt; echo '*.txt diff=evil filter=evil' > .gitattributes
          for key in core.fsmonitor core.pager diff.external diff.evil.textconv filter.evil.clean filter.evil.smudge core.sshCommand core.editor; do
            git config "$key" "touch ${bait}-$key"; done
          mkdir -p .git/hooks; printf '#!/bin/sh\\ntouch ${bait}-hook\\n' > .git/hooks/post-checkout; chmod +x .git/hooks/*`);

        await area.cli(['diff', 't']);
        await area.cli(['export', 't', '--format', 'patch', '-o', join(area.dir, 'out.patch')]);
        await commit('file.txt');
        expect(readFileSync(at('file.txt'), 'utf8')).toBe('two\n');
        expect(readdirSync(area.dir).filter((name) => name.startsWith('bait'))).toEqual([]);
      });

      test('CW04 an exported tar holds relative names only, no devices, and follows no link', async () => {
        put('gone', 'x\n');
        put('dir/inner', 'x\n');
        await agent('ln -s /etc/hostname out; ln -s /etc etc; echo x > new; rm gone; rm -r dir; mkfifo fifo; mkdir dir; echo y > dir/n');

        const file = join(area.dir, 'out.tar');
        const exported = await area.cli(['export', 't', '--format', 'tar', '-o', file]);
        expect(exported.status, exported.stderr).toBe(0);
        const listed = (await area.native(['tar', 'tvf', file])).stdout.trimEnd().split('\n');
        const names = listed.map((line) => line.split(/\s+/)[5] ?? '');
        expect(names.filter((name) => name.startsWith('/') || name.split('/').includes('..'))).toEqual([]);
        expect(listed.filter((line) => /^[bcsp]/.test(line))).toEqual([]);
        expect(listed.filter((line) => line.startsWith('l')).map((line) => line.split(/\s+/).slice(-3).join(' ').replace(/^.*\//, ''))).toHaveLength(2);
        expect(names.map((name) => name.split('/').at(-1))).toEqual(expect.arrayContaining(['.wh.gone', 'new']));
      });
    });

    describe('conflicts', () => {
      test('CW13 a file that changed on both sides is not overwritten', async () => {
        put('both', 'base\n');
        put('mine', 'base\n');
        await agent('echo agent > both; echo agent > mine');
        writeFileSync(at('both'), 'host\n');

        expect((await shown()).find(({ path }) => path === 'both')?.conflict).toMatch(/^(changed|uncaptured)$/);
        const done = await commit();
        expect(done.status, done.stdout + done.stderr).toBe(3);
        expect(done.stdout + done.stderr).toContain('both');
        expect(readFileSync(at('both'), 'utf8')).toBe('host\n');
      });

      test('CW13 a change of mode alone on the host is a conflict too, and the same content on both sides is none', async () => {
        put('mode', 'base\n');
        put('same', 'base\n');
        await agent('echo agent > mode; echo same > same');
        await area.native(['chmod', '600', 'mode']);
        writeFileSync(at('same'), 'same\n');

        expect((await commit()).status).toBe(3);
        expect(readFileSync(at('mode'), 'utf8')).toBe('base\n');
        expect((await shown()).map(({ path }) => path)).not.toContain('same');
      });

      test('CW14 a file that the host deleted or replaced is a conflict', async () => {
        put('gone', 'base\n');
        put('replaced', 'base\n');
        await agent('echo agent > gone; echo agent > replaced');
        rmSync(at('gone'));
        put('fresh', 'other\n');
        renameSync(at('fresh'), at('replaced'));

        expect((await commit()).status).toBe(3);
        expect(existsSync(at('gone'))).toBe(false);
        expect(readFileSync(at('replaced'), 'utf8')).toBe('other\n');
      });

      test('CW13 a name that both sides made is a conflict', async () => {
        await agent('echo agent > new');
        put('new', 'host\n');

        expect((await commit()).status).toBe(3);
        expect(readFileSync(at('new'), 'utf8')).toBe('host\n');
      });

      test('E109 E86 a directory deleted inside, to which the host added a file, stays', async () => {
        put('d/old', 'old\n');
        await agent('rm -r d');
        put('d/new', 'host\n');

        expect((await commit()).status).toBe(3);
        expect(readFileSync(at('d/new'), 'utf8')).toBe('host\n');
      });

      test('E110 a path that the host turned into a full directory is not removed', async () => {
        put('p', 'base\n');
        await agent('rm p; ln -s nowhere p');
        rmSync(at('p'));
        put('p/full/of', 'work\n');

        expect((await commit()).status).toBe(3);
        expect(readFileSync(at('p/full/of'), 'utf8')).toBe('work\n');
      });

      test('what agentfw landed itself is no conflict the next time', async () => {
        put('file', 'one\n');
        await agent('echo two > file; echo new > new');
        expect((await commit()).status).toBe(0);

        const again = await area.cli(['run', '--in', 't', '--net', 'off', '--', 'sh', '-c', 'echo three >> file; echo more >> new']);
        expect(again.status, again.stderr).toBe(0);
        const done = await commit();
        expect(done.status, done.stdout + done.stderr).toBe(0);
        expect([readFileSync(at('file'), 'utf8'), readFileSync(at('new'), 'utf8')]).toEqual(['two\nthree\n', 'new\nmore\n']);
      });
    });

    describe('selection and liveness', () => {
      test('E97 one file of a new tree brings its parents and nothing else', async () => {
        await agent('mkdir -p a/b; echo c > a/b/c; echo d > a/b/d; echo e > a/e');

        expect((await commit('a/b/c')).status).toBe(0);
        expect(readdirSync(at('a'))).toEqual(['b']);
        expect(readdirSync(at('a/b'))).toEqual(['c']);
        expect((await shown()).map(({ path }) => path).sort()).toEqual(['a/b/d', 'a/e']);
      });

      test('E79 E83 deletions survive a stop and a second run', async () => {
        for (const name of ['d/a', 'd/b', 'e/f']) put(name, 'x\n');
        await agent('rm d/a; rm -r e; mkdir e; echo n > e/n');

        const again = await area.cli(['run', '--in', 't', '--net', 'off', '--', 'sh', '-c', 'ls d e; rm d/b; ls -A d']);
        expect(again.stdout).toBe('d:\nb\n\ne:\nn\n');
      });

      test('CW17 E111 E133 `diff` works while the agent runs, `commit` refuses', async () => {
        put('go', '');
        const running = area.cli(['run', '--tag', 't', '--net', 'off', '--', 'sh', '-c', 'echo x > new; while ! test -e stop; do sleep 0.05; done']);
        await eventually('the change shows', async () => (await area.cli(['diff', 't', '--name-only'])).stdout.includes('new'));

        const done = await commit();
        expect(done.status).toBe(1);
        expect(done.stderr).toMatch(/^Error: .*running/m);
        expect(existsSync(at('new'))).toBe(false);

        await area.cli(['kill', 't']);
        expect((await running).status).toBe(137);
        expect((await commit()).status).toBe(0);
        expect(readFileSync(at('new'), 'utf8')).toBe('x\n');
      });

      test('two runs can\'t use one tag at once', async () => {
        const first = area.cli(['run', '--tag', 't', '--net', 'off', '--', 'sh', '-c', 'echo up; sleep 30']);
        await eventually('it runs', async () => (await area.cli(['list', '--json'])).stdout.includes('"running"'));

        const second = await area.cli(['run', '--in', 't', '--net', 'off', '--', 'true']);
        expect(second.status).toBe(125);
        expect(second.stderr).toMatch(/^Error: /m);
        const third = await area.cli(['run', '--tag', 't', '--net', 'off', '--', 'true']);
        expect(third.status).toBe(125);
        await area.cli(['kill', 't']);
        await first;
      });

      test('E138 a commit from a git worktree lands whole', async () => {
        const git = ['-c', 'user.name=t', '-c', 'user.email=t@t'];
        await area.native(['git', 'init', '-q', '-b', 'main', 'repo']);
        put('repo/f', 'one\n');
        await area.native(['git', '-C', 'repo', 'add', 'f']);
        await area.native(['git', '-C', 'repo', ...git, 'commit', '-qm', 'one']);
        await area.native(['git', '-C', 'repo', 'worktree', 'add', '-q', '../tree', '-b', 'side']);
        await agent('cd tree; echo two > f; git -c user.name=t -c user.email=t@t commit -qam two');

        const done = await commit();
        expect(done.status, done.stdout + done.stderr).toBe(0);
        expect((await area.native(['git', '-C', 'repo', 'log', '--format=%s', 'side'])).stdout).toBe('two\none\n');
        expect((await area.native(['git', '-C', 'tree', 'status', '--porcelain'])).stdout).toBe('');
      });

      test('CW20 files that claim terabytes are shown, land and go back without being read', async () => {
        put('grown', 'small\n');
        await agent('truncate -s 8T grown; truncate -s 8T new');

        const diff = await area.cli(['diff', 't']);
        expect(diff.stdout).toMatch(/grown .*\n# {3}binary or large: 6 B sha256:\w+ → 8\.8 TB \(not read\)\n[^]*new\n# {3}binary or large: 8\.8 TB \(not read\)/);
        for (const args of [['diff', 't', '--stat'], ['diff', 't', '--json'], ['export', 't', '-o', join(area.dir, 'patch')], ['export', 't', '--format', 'json', '-o', join(area.dir, 'json')]]) {
          expect((await area.cli(args)).status, args.join(' ')).toBe(0);
        }
        expect((await commit()).status).toBe(0);
        expect([statSync(at('grown')).size, statSync(at('new')).blocks]).toEqual([8 * 2 ** 40, 0]);
        expect((await area.cli(['undo'])).status).toBe(0);
        expect([readFileSync(at('grown'), 'utf8'), existsSync(at('new'))]).toEqual(['small\n', false]);
      });

      test('E113 an undo takes back what its commit landed, whatever was selected, hidden or written beside it since', async () => {
        for (const name of ['d/a', 'd/b', 'd/kept']) put(name, 'old\n');
        await agent('for f in a b; do echo new > d/$f; done; echo added > d/added; rm d/kept');
        expect((await commit('d/a', 'd/added')).status).toBe(0);
        put('d/later', 'later\n');
        mkdirSync(at('elsewhere'));
        chownSync(at('elsewhere'), identity.uid, identity.gid);
        writeFileSync(at('.agentfw.yaml'), 'version: 1\nfiles: {hide: ["./d/**"]}\n');

        const undone = await area.cli(['undo'], { cwd: at('elsewhere') });
        expect(undone.status, undone.stderr).toBe(0);
        expect(Object.fromEntries(readdirSync(at('d')).map((name) => [name, readFileSync(at(`d/${name}`), 'utf8')]))).toEqual({ a: 'old\n', b: 'old\n', kept: 'old\n', later: 'later\n' });
      });

      test('E106 a FIFO in the place of a file wedges neither `diff`, `export` nor `commit`', async () => {
        put('file', 'x\n');
        await agent('rm file; mkfifo file; mkfifo other');

        expect((await area.cli(['diff', 't'], { timeout: 120_000 })).status).toBe(0);
        expect((await area.cli(['export', 't', '--format', 'tar', '-o', join(area.dir, 'o.tar')], { timeout: 120_000 })).status).not.toBeNull();
        const done = await area.cli(['commit', '--tag', 't', '--yes'], { timeout: 120_000 });
        expect(done.status).not.toBeNull();
        expect(lstatSync(at('file')).isFIFO()).toBe(false);
      });

      test('WR20 ownership, setgid and file capabilities land only as the caller may', async () => {
        put('tool', '#!/bin/sh\n');
        await agent(`chmod 2755 tool; cp tool copy; chmod 6755 copy; "${python}" -c 'import os
try: os.setxattr("tool", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
except OSError: pass'`);

        const done = await commit();
        expect(statSync(at('copy')).mode & 0o7000).toBe(0);
        expect(statSync(at('tool')).mode & 0o7000).toBe(0);
        const names = await area.native([python, '-c', 'import os; print(os.listxattr("tool"))']);
        expect(names.stdout).not.toContain('capability');
        expect(done.stdout + done.stderr).toMatch(/set-?[ug]id|setuid|setgid/i);
      });
    });
  });
}
