/**
 * Looking at changes, landing them and taking them back, as users see it.
 */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area, type RunOptions } from '../helpers/sandbox.js';
import { transcript } from '../helpers/transcript.js';

interface Document {
  readonly digest: string;
  readonly changes: readonly { readonly path: string; readonly hunks: readonly { readonly id: string; readonly lines: readonly string[] }[] | null }[];
}

const JOB = [
  'sed -i s/two/TWO/ poem', 'rm -r old', 'echo new > "$(printf "fresh\\033[2J")"', 'printf "\\0\\1" > blob',
  'echo export A=1 > .envrc', 'echo hi > run.sh', 'chmod 755 run.sh', 'chmod 600 kept',
].join('; ');

const [identity] = identities();
let area: Area;

async function cli(args: readonly string[], options?: RunOptions): Promise<string> {
  return transcript(area, await area.cli(args, options)).replace(/\b01[0-9a-z]{24}\b/g, '$COMMIT');
}

function host(name: string): string {
  return readFileSync(join(area.project, name), 'utf8');
}

needs('userns', 'overlay', 'git').describe('changes', () => {
  beforeAll(async () => {
    area = createArea(identity!);
    writeFileSync(join(area.project, 'poem'), 'one\ntwo\nthree\n');
    writeFileSync(join(area.project, 'kept'), 'kept\n', { mode: 0o644 });
    mkdirSync(join(area.project, 'old'));
    writeFileSync(join(area.project, 'old/gone'), 'x\n');
    const run = await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', JOB]);
    expect(run.status, run.stderr).toBe(0);
    expect(run.stderr.trimEnd().split('\n').length).toBeLessThanOrEqual(4);
  });
  afterAll(() => area.remove());

  test('`diff` shows what runs first, deletions whole, binary by digest, text as a patch', async () => {
    expect(await cli(['diff', 'job'])).toMatchInlineSnapshot(`
      "# 1 change that takes effect on the host without further action:
      # A $PROJECT/.envrc  (directory environment)
      diff --git a/.envrc b/.envrc
      new file mode 100644
      index 0000000000000000000000000000000000000000..c7301616ca148d34a307363b6acc798f73fc8bc2
      --- /dev/null
      +++ b/.envrc
      @@ -0,0 +1 @@
      +export A=1
      # 1 change that runs code later:
      # A $PROJECT/run.sh  (executable file)
      diff --git a/run.sh b/run.sh
      new file mode 100755
      index 0000000000000000000000000000000000000000..45b983be36b73c0788dc9cbcb76cbb80fc7bb057
      --- /dev/null
      +++ b/run.sh
      @@ -0,0 +1 @@
      +hi
      # 6 other changes:
      # D $PROJECT/old/
      # D $PROJECT/old/gone
      diff --git a/old/gone b/old/gone
      deleted file mode 100644
      index 587be6b4c3f93f93c489c0111bba5596147a26cb..0000000000000000000000000000000000000000
      --- a/old/gone
      +++ /dev/null
      @@ -1 +0,0 @@
      -x
      # A $PROJECT/blob
      #   binary or large: 2 B sha256:$DIGEST
      # A $PROJECT/fresh\\x1b[2J
      diff --git "a/fresh\\033[2J" "b/fresh\\033[2J"
      new file mode 100644
      index 0000000000000000000000000000000000000000..3e757656cf36eca53338e520d134963a44f793f8
      --- /dev/null
      +++ "b/fresh\\033[2J"
      @@ -0,0 +1 @@
      +new
      # m $PROJECT/kept  [mode 0644 → 0600]
      #   only metadata differ (mode)
      # M $PROJECT/poem
      diff --git a/poem b/poem
      index 4cb29ea38f70d7c61b2a3a25b02e3bdf44905402..ddc897f039f57aa91e16efa6dfde386c4255206f 100644
      --- a/poem
      +++ b/poem
      @@ -1,3 +1,3 @@
       one
      -two
      +TWO
       three
      --- exit 0 ---
      "
    `);
  });

  test('`diff --stat` and `--name-only`', async () => {
    expect(await cli(['diff', 'job', '--stat'])).toMatchInlineSnapshot(`
      "1 change that takes effect on the host without further action:
      A  $PROJECT/.envrc  +1  (directory environment)
      1 change that runs code later:
      A  $PROJECT/run.sh  +1  (executable file)
      6 other changes:
      D  $PROJECT/old/
      D  $PROJECT/old/gone      -1
      A  $PROJECT/blob          2 B
      A  $PROJECT/fresh\\x1b[2J  +1
      m  $PROJECT/kept          mode
      M  $PROJECT/poem          +1 -1
      1 modified, 4 added, 2 deleted, 1 with other metadata
      --- exit 0 ---
      "
    `);
    expect(await cli(['diff', 'job', '--name-only', '--class', 'control'])).toMatchInlineSnapshot(`
      "$PROJECT/.envrc
      --- exit 0 ---
      "
    `);
    expect(await cli(['diff', 'job', '--name-only', 'po*', 'nothing'])).toMatchInlineSnapshot(`
      "$PROJECT/poem
      --- stderr ---
      Warning: No change at $PROJECT/nothing
      --- exit 0 ---
      "
    `);
  });

  test('`diff --exit-code` tells whether there are changes', async () => {
    expect((await area.cli(['diff', 'job', '--exit-code', '--name-only'])).status).toBe(1);
    expect((await area.cli(['diff', 'job', '--exit-code', '--conflicts'])).status).toBe(0);
    expect((await area.cli(['diff', 'job', '--exit-code', '--nope'])).status).toBe(2);
    expect((await area.cli(['diff', '--tag', 'none', '--exit-code'])).status).toBe(2);
    expect((await area.cli(['diff', '--tag', 'none', '--exit-code', '--json'])).status).toBe(2);
  });

  test('a word that is neither a tag, nor a file, nor a change is no diff without changes', async () => {
    for (const [args, status] of [[['diff', 'jbo'], 1], [['diff', 'jbo', '--stat'], 1], [['diff', 'jbo', '--name-only'], 1], [['diff', 'jbo', '--exit-code'], 2], [['export', 'jbo'], 1]] as const) {
      expect(await area.cli(args)).toMatchObject({ status, stdout: '', stderr: 'Error: There is no sandbox jbo, and job, which was started here, has nothing of that name.\nHint: Did you mean job?\n' });
    }
    expect((await area.cli(['diff', 'job', 'jbo'])).status).toBe(0);
  });

  test('CW10: a name can’t act on a terminal, wherever it is shown', async () => {
    for (const args of [['diff', 'job', '--stat'], ['commit', 'job', '--dry-run']]) {
      const { stdout, stderr } = await area.cli(args);
      expect(stdout + stderr).not.toContain('\u001b');
      expect(stdout + stderr).toContain('fresh\\x1b[2J');
    }
  });

  test('the patch of `export` goes through `git apply`, binary files and all', async () => {
    const copy = join(area.dir, 'copy');
    await area.native(['cp', '-a', area.project, copy]);
    const patch = await area.cli(['export', 'job', '-o', join(area.dir, 'tmp/job.patch')]);
    expect(patch.status, patch.stderr).toBe(0);

    const applied = await area.native(['git', 'apply', join(area.dir, 'tmp/job.patch')], { cwd: copy });

    expect(applied.status, applied.stderr).toBe(0);
    expect(readFileSync(join(copy, 'poem'), 'utf8')).toBe('one\nTWO\nthree\n');
    expect(readFileSync(join(copy, 'blob'))).toEqual(Buffer.from([0, 1]));
    expect(existsSync(join(copy, 'old/gone'))).toBe(false);
  });

  test('CW04: the archive of `export` holds relative names and whiteouts', async () => {
    const tar = await area.native(['sh', '-c', '"$@" | tar tf -', 'sh', ...area.argv(['export', 'job', '--format', 'tar', '--root', '.'])]);

    expect(tar.stdout.trim().split('\n').sort()).toEqual([
      '.envrc', '.wh.old', 'blob', 'fresh\\033[2J', 'kept', 'poem', 'run.sh',
    ]);
  });

  test('`commit` asks, and without a terminal refuses with status 2', async () => {
    expect(await cli(['commit', 'job'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no terminal to ask on.
      Hint: Say --yes to land it, or --dry-run to see what would
      --- exit 2 ---
      "
    `);
    expect(await cli(['commit', 'job', '--yes', '../../etc'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: The sandbox has no change at $AREA/etc
      Hint: List them: agentfw diff job --name-only
      --- exit 1 ---
      "
    `);
  });

  test('`commit --dry-run` says what would land, and what is held back', async () => {
    expect(await cli(['commit', 'job', '--dry-run'])).toMatchInlineSnapshot(`
      "--- stderr ---
      1 change that runs code later:
        A $PROJECT/run.sh  (executable file)
      6 other changes:
        D $PROJECT/old/
        D $PROJECT/old/gone
        A $PROJECT/blob
        A $PROJECT/fresh\\x1b[2J
        m $PROJECT/kept
        M $PROJECT/poem
      Held back: 1 change that takes effect on the host without further action
        A $PROJECT/.envrc  (directory environment)
        Look at them, then name them: --accept-control PATH
      1 modified, 3 added, 2 deleted, 1 with other metadata, digest sha256:$DIGEST
      --- exit 3 ---
      "
    `);
    expect(host('poem')).toBe('one\ntwo\nthree\n');
  });

  test('`commit --expect` refuses anything but what was reviewed', async () => {
    const { digest } = jsonOf<Document>(await area.cli(['diff', 'job', '--json']));
    const other = await area.cli(['commit', 'job', '--yes', '--expect', digest, '--', 'poem']);

    expect(other.status).toBe(1);
    expect(other.stderr).toContain('not what was expected');
    expect(host('poem')).toBe('one\ntwo\nthree\n');
    for (const named of ['.', '.env*', '**']) {
      expect((await area.cli(['commit', 'job', '--dry-run', '--expect', digest, '--accept-control', named])).status).toBe(0);
    }
    expect((await area.cli(['commit', 'job', '--dry-run', '--accept-control', 'poem'])).status).toBe(3);
  });

  test('`commit --hunk` takes single hunks, and the rest stays', async () => {
    const { changes } = jsonOf<Document>(await area.cli(['diff', 'job', '--json', '--hunks', '--', 'poem']));
    const hunk = changes[0]?.hunks?.[0];
    expect(hunk?.lines).toEqual([' one', '-two', '+TWO', ' three']);

    expect(await cli(['commit', 'job', '--yes', '--hunk', 'nope'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no hunk nope
      Hint: Number them anew: agentfw diff --json --hunks
      --- exit 2 ---
      "
    `);
    expect((await area.cli(['commit', 'job', '--yes', '--hunk', hunk?.id ?? ''])).status).toBe(0);

    expect(host('poem')).toBe('one\nTWO\nthree\n');
    expect((await area.cli(['diff', 'job', '--name-only', 'poem'])).stdout).toBe('');
    expect((await area.cli(['undo'])).status).toBe(0);
    expect(host('poem')).toBe('one\ntwo\nthree\n');
  });

  test('what changed on the host is a conflict: not written, listed, status 3', async () => {
    writeFileSync(join(area.project, 'run.sh'), 'mine\n');

    expect((await area.cli(['diff', 'job', '--conflicts', '--name-only'])).stdout).toBe(`${area.project}/run.sh\n`);
    expect(await cli(['commit', 'job', '--yes', 'run.sh'])).toMatchInlineSnapshot(`
      "--- stderr ---
      not landed $PROJECT/run.sh: the host created it since the sandbox started
      Nothing to land.
      Hint: agentfw commit job with --take sandbox PATH or --take host PATH chooses a side
      --- exit 3 ---
      "
    `);
    expect(host('run.sh')).toBe('mine\n');
    expect((await area.cli(['commit', 'job', '--yes', '--take', 'sandbox', 'run.sh', '--', 'run.sh'])).status).toBe(0);
    expect(host('run.sh')).toBe('hi\n');
  });

  test('`discard PATH` drops the agent’s version, `undo` has it back, an undo of that drops it again', async () => {
    const blob = async (): Promise<string> => (await area.cli(['diff', 'job', '--name-only', 'blob'])).stdout;
    const newest = async (): Promise<string> => jsonOf<{ commits: { id: string }[] }>(await area.cli(['log', '--commits', '--json'])).commits[0]!.id;
    const before = await blob();
    expect(before).toContain('/blob');
    expect(await cli(['discard', 'job', 'blob', '--yes'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Discarded 1 change of job
      Take it back: agentfw undo $COMMIT
      --- exit 0 ---
      "
    `);
    expect(await blob()).toBe('');
    expect(await cli(['undo', await newest()])).toMatchInlineSnapshot(`
      "--- stderr ---
      Gave 1 change back to the sandbox
      --- exit 0 ---
      "
    `);
    expect((await area.cli(['show', 'job:blob'])).stdout).toBe('\0\x01');
    expect(await blob()).toBe(before);
    expect((await area.cli(['undo', await newest()])).status).toBe(0);
    expect(await blob()).toBe('');
    const rows = (await area.cli(['log', '--commits'])).stdout.split('\n').slice(0, 3);
    expect(rows).toEqual([expect.stringMatching(/ 1 in the sandbox .*undoes/), expect.stringMatching(/ 1 in the sandbox .*undoes/), expect.stringMatching(/ 1 dropped /)]);
  });

  test('`commit --yes` lands everything but what takes effect by itself', async () => {
    expect(await cli(['commit', 'job', '--yes', '-m', 'the job'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Landed 5 changes: 1 modified, 1 added, 2 deleted, 1 with other metadata
      Held back: 1 change that takes effect on the host without further action
        A $PROJECT/.envrc  (directory environment)
        Look at them, then name them: --accept-control PATH
      digest sha256:$DIGEST
      Take it back: agentfw undo $COMMIT
      --- exit 3 ---
      "
    `);
    expect(host('poem')).toBe('one\nTWO\nthree\n');
    expect(existsSync(join(area.project, 'old'))).toBe(false);
    expect(existsSync(join(area.project, '.envrc'))).toBe(false);

    expect((await area.cli(['commit', 'job', '--yes', '--accept-control', '.envrc'])).status).toBe(0);
    expect(host('.envrc')).toBe('export A=1\n');
    expect((await area.cli(['list'])).stdout).toMatch(/^job +committed /);
  });

  test('a sandbox whose agent changed nothing counts as committed once a commit was asked of it, and not before', async () => {
    const state = async (): Promise<string> => /^idle +(\w+)/m.exec((await area.cli(['list'])).stdout)?.[1] ?? '';
    await area.cli(['run', '--tag', 'idle', '--net', 'off', '--', 'true']);
    await area.cli(['commit', 'idle', '--dry-run']);
    expect(await state()).toBe('stopped');

    expect(await area.cli(['commit', 'idle', '--yes'])).toMatchObject({ status: 0, stderr: 'Nothing to land.\n' });
    expect(await state()).toBe('committed');
    await area.cli(['discard', 'idle', '--yes']);
  });

  test('`list` shows what is kept for undo, and a setting bounds it', async () => {
    const undo = async (): Promise<{ commits: number; bytes: number }> => jsonOf<{ undo: { commits: number; bytes: number } }>(await area.cli(['list', '--json'])).undo;
    expect((await undo()).bytes).toBeGreaterThan(0);
    expect((await area.cli(['list'])).stderr).toMatch(/^\d+ commits can be undone: .* kB; agentfw prune --keep-undo SIZE/);
    expect(await area.cli(['undo'], { env: { AGENTFW_KEEP_UNDO: 'lots' } })).toMatchObject({ status: 2 });

    await area.cli(['run', '--tag', 'more', '--net', 'off', '--', 'sh', '-c', 'echo more > kept']);
    expect((await area.cli(['commit', 'more', '--yes'], { env: { AGENTFW_KEEP_UNDO: '1B,10d' } })).status).toBe(0);
    expect((await undo()).commits).toBe(1);
    expect((await area.cli(['undo'])).status).toBe(0);
    expect(host('kept')).toBe('kept\n');
    await area.cli(['discard', 'more', '--yes']);
  });

  test('`prune` shows what goes and removes what is committed', async () => {
    expect((await area.cli(['log', '--commits', '--json'])).stdout).toContain('"note":"the job"');
    expect(await cli(['prune', '--dry-run'])).toMatchInlineSnapshot(`
      "sandbox  job  committed  $AGE  $PROJECT
      --- exit 0 ---
      "
    `);
    expect((await area.cli(['prune', '--yes'])).status).toBe(0);
    expect((await area.cli(['list', '--json'])).stdout).toContain('"sandboxes":[]');
    expect(await cli(['prune', '--older-than', '5'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: \`5\` has no unit.
      Hint: Write a duration such as $AGE, 30m, 2h or 1d.
      --- exit 2 ---
      "
    `);
  });
  test('a hard link to a file of the host lands as one where a change of that file is as ordinary (E57)', async () => {
    mkdirSync(join(area.project, '.vscode'), { recursive: true });
    writeFileSync(join(area.project, 'plain'), 'plain\n');
    writeFileSync(join(area.project, '.vscode/tasks.json'), '{}\n');
    const run = await area.cli(['run', '--tag', 'links', '--net', 'off', '--', 'sh', '-c', 'ln plain plain-too; ln .vscode/tasks.json harmless']);
    expect(run.status, run.stderr).toBe(0);
    const stat = await area.cli(['diff', '--stat', 'links']);
    expect(stat.stdout).toContain(`hard link to ${area.project}/plain`);
    expect(stat.stdout).not.toContain('.vscode');

    const commit = await area.cli(['commit', 'links', '--yes']);

    expect(commit.status, commit.stderr).toBe(0);
    const same = (a: string, b: string): boolean => statSync(join(area.project, a)).ino === statSync(join(area.project, b)).ino;
    expect(same('plain', 'plain-too')).toBe(true);
    expect(same('.vscode/tasks.json', 'harmless')).toBe(false);
    expect(host('harmless')).toBe('{}\n');
    expect((await area.cli(['undo'])).status).toBe(0);
    expect([statSync(join(area.project, 'plain')).nlink, existsSync(join(area.project, 'plain-too'))]).toEqual([1, false]);
  });
});
