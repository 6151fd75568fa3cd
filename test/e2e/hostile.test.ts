/**
 * What an agent can leave behind to make the commands after it stumble.
 */
import { chownSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { allIdentities, createArea, identities, jsonOf, onRootDisk, roomForAreas, type Area } from '../helpers/sandbox.js';

interface Document {
  readonly changes: readonly { readonly path: string; readonly kind: string; readonly class: string; readonly conflict: string | null }[];
}

// Root has one layer over all, and only root can make a place of the user's far from home.
for (const identity of allIdentities().slice(1)) {
  needs('root', 'userns', 'overlay').test('a directory that is gone from the host holds up nothing but what belongs there', async () => {
    const area = createArea(identity);
    try {
      const [gone, kept] = ['gone', 'kept'].map((name) => mkdtempSync(join(roomForAreas(), `agentfw-test-${name}-`))) as [string, string];
      for (const dir of [gone, kept]) chownSync(dir, identity.uid, identity.gid);
      const job = `echo x > new; echo y > ${gone}/y; echo z > ${kept}/z`;
      await area.cli(['run', '--tag', 'apart', '--net', 'off', '--', 'sh', '-c', job]);
      rmSync(gone, { recursive: true });

      const landed = await area.cli(['commit', 'apart', 'new', `${gone}/y`, `${kept}/z`, '--yes', '--accept-control', kept, '--accept-control', gone]);
      expect(landed.stderr).toContain(`not landed ${gone}/y: a directory above it was renamed, replaced or removed on the host`);
      expect(landed.status).toBe(3);
      expect((await area.native(['cat', 'new', `${kept}/z`])).stdout).toBe('x\nz\n');

      rmSync(kept, { recursive: true });
      const undone = await area.cli(['undo']);
      expect(undone.stderr).not.toContain('Error');
      expect((await area.native(['cat', 'new'])).status).toBe(1);
    } finally {
      await area.remove();
    }
  });
}

for (const identity of identities()) {
  needs('userns', 'overlay', 'git').describe(`after a hostile agent, as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    test('a directory that loses its permissions while it is watched ends nothing', async () => {
      await area.native(['sh', '-c', 'for n in a b c d; do mkdir -p host/$n; echo 1 > host/$n/f; done']);
      const job = 'for n in a b c d; do echo 2 > host/$n/f; echo 3 > host/$n/g; chmod 000 host/$n; done; sleep 0.3; echo done';
      const run = await area.cli(['run', '--tag', 'watched', '--net', 'off', '--', 'sh', '-c', job]);

      expect(run.stderr).not.toMatch(/Error|at /);
      expect(run.stdout).toBe('done\n');
      expect(run.status).toBe(0);
    });

    needs('attr').test('files without permissions land, attributes and all, and are taken back', async () => {
      await area.native(['sh', '-c', 'for n in read none write; do echo 1 > $n; setfattr -n user.mine -v 1 $n; done; echo 1 > gone']);
      const job = 'for n in read none write; do echo 2 > $n; done; chmod 444 read; chmod 000 none; chmod 200 write; mv gone moved; chmod 444 moved';
      await area.cli(['run', '--tag', 'modes', '--net', 'off', '--', 'sh', '-c', job]);
      const all = ['read', 'none', 'write', 'moved', 'gone'];

      const landed = await area.cli(['commit', 'modes', ...all, '--yes']);
      expect(landed.stderr).not.toMatch(/Error|not landed/);
      expect(landed.status).toBe(0);
      const modes = async (): Promise<string> => (await area.native(['stat', '-c', '%n %a', ...all])).stdout;
      expect(await modes()).toBe('read 444\nnone 0\nwrite 200\nmoved 444\n');

      expect((await area.cli(['undo'])).status).toBe(0);
      expect(await modes()).toBe('read 644\nnone 644\nwrite 644\ngone 644\n');
    });

    test('a new directory without permissions lands with what is in it, and is taken back whole', async () => {
      const modes = ['000', '300', '500', '100', '400'];
      const job = modes.map((mode) => `mkdir -p d${mode}/in; echo x > d${mode}/f; echo y > d${mode}/in/f; chmod ${mode} d${mode}/in d${mode}`).join('\n');
      await area.cli(['run', '--tag', 'lockeddirs', '--net', 'off', '--', 'sh', '-euc', job]);

      expect((await area.cli(['commit', 'lockeddirs', ...modes.map((mode) => `d${mode}`), '--yes'])).status).toBe(0);
      expect((await area.native(['stat', '-c', '%n %a', ...modes.map((mode) => `d${mode}`)])).stdout).toBe(modes.map((mode) => `d${mode} ${mode.replace(/^0+(?=.)/, '')}\n`).join(''));
      const undone = await area.cli(['undo']);
      expect(undone.status, undone.stdout + undone.stderr).toBe(0);
      expect((await area.native(['sh', '-c', 'ls -d d[0-9]* 2>/dev/null'])).stdout).toBe('');
    });

    test('WR08 a git directory, a file that leads to it and a bare repository are prepared in vain', async () => {
      const make = 'git init -q repo && cd repo && echo 1 > f && git add f && git -c user.name=a -c user.email=a@example.org commit -qm one';
      expect((await area.native(['sh', '-c', make])).status).toBe(0);
      const attack = [
        'cp -r .git prepared', 'printf "[core]\\n\\tfsmonitor = touch ../ran\\n" >> prepared/config', 'rm -r .git', 'echo "gitdir: prepared" > .git',
        'cp -r prepared inner', 'mkdir -p bare/objects bare/refs', 'cp prepared/HEAD prepared/config bare',
      ].join(' && ');
      const cwd = join(area.project, 'repo');
      const run = await area.cli(['run', '--tag', 'prepared', '--net', 'off', '--', 'sh', '-c', attack], { cwd });
      expect(run.status, run.stderr).toBe(0);

      const { changes } = jsonOf<Document>(await area.cli(['diff', 'prepared', '--json'], { cwd }));
      const control = changes.filter((change) => change.class === 'control').map(({ path }) => path.slice(cwd.length + 1));
      expect(control).toEqual(expect.arrayContaining(['.git', 'prepared/config', 'prepared/HEAD', 'inner/config', 'bare/config', 'bare/HEAD']));
      expect(run.stderr).toContain(`${control.length} changes would take effect on the host at once`);

      expect((await area.cli(['commit', 'prepared', '--yes'], { cwd })).status).toBe(3);
      for (const dir of ['.', 'prepared', 'inner', 'bare']) await area.native(['git', 'status'], { cwd: join(cwd, dir) });
      expect(existsSync(join(area.project, 'ran')) || existsSync(join(cwd, 'ran'))).toBe(false);
      expect((await area.native(['git', 'log', '--format=%s'], { cwd })).stdout).toBe('one\n');
    });

    test('a conflict is settled for either side', async () => {
      await area.native(['sh', '-c', 'echo base > mine; echo base > yours']);
      await area.cli(['run', '--tag', 'sides', '--net', 'off', '--', 'sh', '-c', 'echo agent > mine; echo agent > yours']);
      await area.native(['sh', '-c', 'echo host > mine; echo host > yours']);

      const settled = await area.cli(['commit', 'sides', 'mine', 'yours', '--take', 'host', 'mine', '--take', 'sandbox', 'yours', '--yes']);
      expect(settled.status, settled.stderr).toBe(0);
      expect((await area.native(['cat', 'mine', 'yours'])).stdout).toBe('host\nagent\n');
      expect((await area.cli(['diff', 'sides', 'mine', 'yours', '--name-only'])).stdout).toBe('');
    });

    test('conflicts are settled by pattern and directory, what would be dropped is said, and the digest holds the choice', async () => {
      const files = 'odd/a odd/b odd/in/c odd/in/d';
      await area.native(['sh', '-c', `mkdir -p odd/in; for f in ${files}; do echo base > $f; done`]);
      await area.cli(['run', '--tag', 'chosen', '--net', 'off', '--', 'sh', '-c', `for f in ${files}; do echo agent > $f; done`]);
      await area.native(['sh', '-c', `for f in ${files}; do echo host > $f; done`]);
      const commit = (...words: string[]): ReturnType<Area['cli']> => area.cli(['commit', 'chosen', 'odd', ...words]);
      const digestOf = ({ stderr }: { readonly stderr: string }): string => /sha256:\w+/.exec(stderr)?.[0] ?? '';

      expect(await commit('--dry-run', '--take', 'host', 'odd/a', '--take', 'sandbox', 'odd/a')).toMatchObject({ status: 2, stderr: expect.stringContaining('names both sides for') as string });
      expect(await commit('--dry-run', '--take', 'host', 'odd/[ab]', '--take', 'sandbox', 'odd/?')).toMatchObject({ status: 2, stderr: expect.stringContaining('Two patterns of --take') as string });
      expect(await commit('--dry-run', '--take', 'host', 'odd/tpyo')).toMatchObject({ status: 1, stderr: expect.stringContaining('no change at') as string });

      const all = await commit('--dry-run', '--take', 'sandbox', 'odd');
      const [by, not] = [['--take', 'sandbox', 'odd/**', '--take', 'host', 'odd/in', '--take', 'sandbox', 'odd/in/d'], ['--expect', digestOf(all)]];
      const some = await commit('--dry-run', ...by);
      expect(some.status, some.stderr).toBe(0);
      expect(some.stderr).toMatch(/Dropped from the sandbox, the host stays as it is there: 1 change:\n {2}M [^\n]*odd\/in\/c [^\n]*\n3 modified, digest/);
      expect(await commit('--yes', ...by, ...not)).toMatchObject({ status: 1, stderr: expect.stringContaining('is not what was expected') as string });

      const landed = await commit('--yes', ...by, '--expect', digestOf(some));
      expect(landed.status, landed.stderr).toBe(0);
      expect((await area.native(['sh', '-c', `cat ${files}`])).stdout).toBe('agent\nagent\nhost\nagent\n');
      expect((await area.cli(['diff', 'chosen', 'odd', '--name-only'])).stdout).toBe('');
    });

    test('E61: what is in a directory without permissions is shown', async () => {
      const job = 'for n in 1 2 3 4 5 6 7 8; do mkdir -m 0300 $n; echo x > $n/secret; chmod 000 $n; done';
      expect((await area.cli(['run', '--tag', 'locked', '--net', 'off', '--', 'sh', '-c', job])).stderr).not.toContain('Error');

      const shown = await area.cli(['diff', 'locked', '--json']);
      expect(shown.stderr).toBe('');
      expect(shown.status, shown.stdout).toBe(0);
      expect(jsonOf<Document>(shown).changes.map(({ path }) => path)).toContain(`${area.project}/8/secret`);
    });
  });
}

needs('userns', 'overlay', 'root').describe('on a disk that is full', () => {
  let area: Area;
  let disk: string;
  beforeAll(async () => {
    area = createArea(identities()[0]!);
    disk = join(area.dir, 'disk');
    await area.native(['sh', '-c', `mkdir ${disk} && mount -t tmpfs -o size=6m,mode=700 none ${disk}`]);
  });
  afterAll(async () => {
    await area.native(['umount', '-l', disk], { cwd: '/' });
    await area.remove();
  });

  test.skipIf(!onRootDisk())('the agent gets ENOSPC and keeps its status, and each command says why it can’t go on', async () => {
    const env = { AGENTFW_STATE_DIR: join(disk, 'store') };
    // The small disk has room for 6 MB; where the layer comes to lie elsewhere, this must end all the same.
    const job = 'head -c 60000000 /dev/zero > big; for n in 1 2 3 4 5 6 7 8 9; do echo x > $n; done 2> /dev/null; exit 5';
    const run = await area.cli(['run', '--tag', 'filler', '--net', 'off', '--', 'sh', '-c', job], { env });
    expect(run.status, run.stderr).toBe(5);

    // What the record's reserve gave back.
    await area.native(['sh', '-c', `cat /dev/zero > ${disk}/rest`]);
    const again = await area.cli(['run', '--net', 'off', '--', 'true'], { env });
    expect(again.stderr).toMatch(/^Error: There is no room left on the disk\.\nCaused by: ENOSPC.*\nHint: /);
    expect(again.status).toBe(125);

    const commit = await area.cli(['commit', 'filler', 'big', '--yes'], { env });
    expect(commit.stderr).toMatch(/^Nothing landed: ENOSPC.*\. The host is as it was\.$/m);
    expect(commit.status).toBe(1);
    expect((await area.cli(['discard', 'filler', '--yes'], { env })).status).toBe(0);
  });
});
