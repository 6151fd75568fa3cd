/**
 * The topmost directory of a layer is a directory like any other: with its ACLs
 * and attributes in the view, and with the agent's changes of them in `diff` and `commit`.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area, type Outcome } from '../helpers/sandbox.js';

let area: Area;
/** In a directory that the sandbox has of its own: the project has a layer to itself. */
let top: string;

const sh = (command: string): string => execFileSync('sh', ['-c', command], { cwd: top, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
const cli = (...args: string[]): Promise<Outcome> => area.cli(args, { cwd: top });
/** Where the agent's version of the topmost directory lies. */
const upper = (tag: string): string => {
  const { layers } = JSON.parse(readFileSync(join(area.state, `sandboxes/${tag}/sandbox.json`), 'utf8')) as { layers: { base: string; dir: string }[] };
  return join(layers.find(({ base }) => base === top)!.dir, 'upper');
};
/** What `read` finds in a directory that may be closed to whoever runs the tests. */
const within = <T>(dir: string, read: () => T): T => {
  const { mode } = statSync(dir);
  chmodSync(dir, 0o700);
  try {
    return read();
  } finally {
    chmodSync(dir, mode & 0o7777);
  }
};
const inside = (tag: string, command: string): Promise<Outcome> => cli('run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', command);

for (const identity of identities()) needs('userns', 'overlay', 'acl', 'attr').describe(`the top of a layer (${identity.name})`, () => {
  beforeEach(() => {
    area = createArea(identity);
    top = mkdtempSync(join(tmpdir(), 'agentfw-top-'));
    chownSync(top, identity.uid, identity.gid);
  });
  afterEach(async () => {
    await area.remove();
    execFileSync('chmod', ['-R', 'u+rwX', top]);
    rmSync(top, { recursive: true });
  });

  test('has the attributes of the host’s, and gives its default ACL to what is made in it', async () => {
    // Of ids there is one in the view of a plain user.
    sh(`setfacl -m u:${identity.uid}:r-x . && setfacl -d -m u:${identity.uid}:rw- . && setfattr -n user.mine -v here .`);
    const look = 'getfattr -n user.mine --only-values . && getfacl -cEn . && touch made && getfacl -cEn made';

    const run = await inside('a', look);
    expect(run.stdout, JSON.stringify(run)).toContain(`user:${identity.uid}:rw-`);
    expect(run.stdout).toBe(sh(`umask ${process.umask().toString(8)}; ${look} && rm made`));
    const { layers } = JSON.parse(readFileSync(join(area.state, 'sandboxes/a/sandbox.json'), 'utf8')) as { layers: { base: string }[] };
    expect(layers.map(({ base }) => base)).toContain(top);

    const { changes } = jsonOf<{ changes: { path: string }[] }>(await cli('diff', 'a', '--json'));
    expect(changes.map(({ path }) => path)).toEqual([`${top}/made`]);
    expect((await cli('commit', 'a', '--yes')).status).toBe(0);
    expect(sh('getfacl -cEn made')).toContain(`user:${identity.uid}:rw-`);
    expect((await cli('diff', 'a', '--exit-code')).status).toBe(0);
  });

  test('an attribute that the agent gives it is a change that lands and goes back', async () => {
    const run = await inside('b', `setfattr -n user.theirs -v there . && setfacl -m u:${identity.uid}:rwx .`);
    expect(run.status, run.stderr).toBe(0);
    expect(run.stderr).toContain('1 with other metadata in b');

    const commit = await cli('commit', 'b', '--yes', '--accept-control', top);
    expect(commit.status, commit.stderr).toBe(0);
    expect(sh('getfattr -n user.theirs --only-values . && getfacl -cEn .')).toMatch(new RegExp(`^there(.|\\n)*user:${identity.uid}:rwx`));
    expect((await cli('diff', 'b', '--exit-code')).status).toBe(0);

    expect((await cli('undo')).status).toBe(0);
    expect(sh('getfattr -d . && getfacl -cEn .')).not.toMatch(/theirs|user:\d/);
  });

  test.each(['0', '400', '555'])('with mode %s it keeps nobody from what was changed, nor the agent’s status from its caller (E61)', async (mode) => {
    sh('echo old >f');
    chownSync(join(top, 'f'), identity.uid, identity.gid);
    const run = await inside('c', `echo new >f; echo n >made; chmod ${mode} .; exit 3`);
    expect([run.status, run.stderr]).toEqual([3, expect.stringContaining('1 modified, 1 added, 1 with other metadata in c')]);

    const { changes } = jsonOf<{ changes: { path: string; mode?: number }[] }>(await cli('diff', 'c', '--json'));
    expect(changes.map(({ path }) => path)).toEqual([top, `${top}/f`, `${top}/made`]);
    expect((statSync(upper('c')).mode & 0o777).toString(8)).toBe(mode);

    expect((await area.cli(['discard', '--tag', 'c', '--yes', '--', join(top, 'f')])).status).toBe(0);
    const commit = await cli('commit', 'c', '--yes');
    expect([commit.status, commit.stderr]).toEqual([0, expect.stringContaining('Landed 2 changes: 1 added, 1 with other metadata')]);
    expect((statSync(top).mode & 0o777).toString(8)).toBe(mode);
    expect(within(top, () => ['f', 'made'].map((name) => readFileSync(join(top, name), 'utf8')))).toEqual(['old\n', 'n\n']);
  });

  test('what a directory without permissions has replaced is told as deleted (E65 E82)', async () => {
    sh('mkdir dir && touch dir/one dir/two');
    execFileSync('chown', ['-R', `${identity.uid}:${identity.gid}`, join(top, 'dir')]);
    expect((await inside('d', 'rm -r dir; mkdir dir; echo x >dir/x; chmod 0 dir')).status).toBe(0);

    expect((await cli('diff', 'd', '--name-only')).stdout.split('\n').filter((path) => path !== '').sort()).toEqual(['dir', 'dir/one', 'dir/two', 'dir/x'].map((path) => join(top, path)));
    expect((await cli('commit', 'd', '--yes')).status).toBe(0);
    expect(within(join(top, 'dir'), () => readdirSync(join(top, 'dir')))).toEqual(['x']);

    // A plain user has to have the directory back before what was in it; then the way is told.
    const undo = await cli('undo');
    const rest = /^The rest, when nothing stands in its way: agentfw undo (\S+)$/m.exec(undo.stderr)?.[1];
    expect([undo.status, rest === undefined], undo.stderr).toEqual(identity.name === 'user' ? [1, false] : [0, true]);
    if (rest !== undefined) expect((await cli('undo', rest)).status).toBe(0);
    expect(readdirSync(join(top, 'dir')).sort()).toEqual(['one', 'two']);
  });

  test('a landed directory without permissions is taken back with all that is in it, and lands again', async () => {
    expect((await inside('e', 'mkdir dir; head -c 1500000 /dev/zero >dir/big; chmod 0 dir')).status).toBe(0);
    expect((await cli('commit', 'e', '--yes')).status).toBe(0);

    const undo = await cli('undo');
    expect([undo.status, undo.stderr]).toEqual([0, expect.stringMatching(/^Took back \d changes: \d deleted/)]);
    expect(readdirSync(top)).not.toContain('dir');
    const [, undone] = /(\S+) +e .* undoes /.exec((await cli('log', '--commits')).stdout) ?? [];
    expect((await cli('undo', undone ?? '')).status).toBe(0);
    expect((statSync(join(top, 'dir')).mode & 0o777).toString(8)).toBe('0');
  });
});
