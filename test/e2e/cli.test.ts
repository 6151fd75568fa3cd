/**
 * The command line as its users see it: whole transcripts, with real sandboxes.
 */
import { spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSecondRun, needs } from '../helpers/needs.js';
import { createArea, eventually, identities, jsonOf, repository, type Area, type RunOptions } from '../helpers/sandbox.js';
import { transcript } from '../helpers/transcript.js';

const [identity] = identities();
const unknownUser = process.getuid?.() === 0 ? ['setpriv', '--reuid', '54321', '--clear-groups', '--'] : [];
let area: Area;

beforeAll(() => {
  area = createArea(identity!);
  writeFileSync(join(area.project, 'poem'), 'one\ntwo\nthree\n');
  mkdirSync(join(area.project, 'old'));
  writeFileSync(join(area.project, 'old/gone'), 'x\n');
});
afterAll(() => area.remove());

async function cli(args: readonly string[], options?: RunOptions): Promise<string> {
  return transcript(area, await area.cli(args, options));
}

describe.skipIf(isSecondRun)('without a sandbox', () => {
  test('the bundle starts from its code cache', () => {
    const script = `
      const { readFileSync } = require('node:fs');
      const [source, cache] = ['cjs', 'cache'].map((end) => readFileSync('dist/fast/main.' + end));
      const { cachedDataRejected } = new (require('node:vm').Script)(source.toString('latin1'), { cachedData: cache.subarray(64) });
      console.log(cachedDataRejected);`;
    expect(spawnSync(process.execPath, ['-e', script], { cwd: repository, encoding: 'utf8' }).stdout).toBe('false\n');
  });

  test('a new store needs no YAML for the shipped profiles: the build has read them', async () => {
    const state = join(area.dir, 'first');
    const loads = 'const { Module } = require("node:module"); const load = Module._load; Module._load = function (name, ...rest) { if (name === "yaml" || name === "zod") throw new Error(`loads ${name}`); return load.call(this, name, ...rest); };';
    writeFileSync(join(area.dir, 'no-yaml.cjs'), loads);
    const { status, stderr } = await area.cli(['policy', 'show'], { env: { AGENTFW_STATE_DIR: state, NODE_OPTIONS: `--require ${join(area.dir, 'no-yaml.cjs')}` } });

    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test('`--help` names every command, and `help X`, `X --help` one', async () => {
    const all = await area.cli(['--help']);

    expect(all.status).toBe(0);
    for (const name of ['run', 'list', 'status', 'discard', 'kill', 'show']) {
      expect(all.stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    }
    expect(await cli(['help', 'list'])).toBe(await cli(['list', '--help']));
    expect(await cli(['help'])).toBe(await cli([]));
  });

  test('`--help` works for a user whom no account database knows', async () => {
    const { status, stderr } = await area.native([...unknownUser, 'env', '-u', 'SHELL', ...area.argv(['--help'])], { cwd: '/' });

    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test('`--version` gives the version', async () => {
    expect(await area.cli(['--version'])).toMatchObject({ status: 0, stdout: `agentfw/0.1.0 linux-${process.arch} node-${process.version}\n`, stderr: '' });
    expect(await area.native(['sh', '-c', '"$@" > /dev/full', 'sh', ...area.argv(['--version'])])).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Error: Can't write the output\.\n/) as string });
  });

  test.each([['ls', 'list'], ['rm', 'discard'], ['logs', 'log'], ['stop', 'kill'], ['-v', '--version']])('`%s`, as git or Docker have it, gets our word for it', async (word, ours) => {
    expect(await cli([word, 'x'])).toMatch(new RegExp(`Did you mean ${ours}\\?`));
  });

  test('a program of the user’s is taken for the agent', async () => {
    const hint = async (word: string) => (await area.cli([word, '-p', 'x'])).stderr.split('\n')[1];

    expect(await hint('seq')).toBe('Hint: Did you mean run seq?');
    expect(await hint('seq-is-not-there')).toBe('Hint: See agentfw --help');
    expect(await hint('../bin/seq')).toBe('Hint: See agentfw --help');
  });

  test('a word that is no command gets the nearest one', async () => {
    expect(await cli(['comit'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no command comit
      Hint: Did you mean commit?
      --- exit 2 ---
      "
    `);
    for (const word of ['constructor', '__proto__', 'toString']) {
      for (const line of [[word], [word, '--help'], ['help', word]]) {
        expect(await area.cli(line)).toMatchObject({ status: 2, stderr: `Error: There is no command ${word}\nHint: See agentfw --help\n` });
      }
    }
    expect(await cli(['--verison'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no flag --verison
      Hint: Did you mean --version?
      --- exit 2 ---
      "
    `);
  });

  test('where no command is meant the answer is JSON as well, if that was asked for', async () => {
    for (const [line, message] of [
      [['comit', '--json'], 'There is no command comit'],
      [['policy', '--json'], 'policy needs a subcommand.'],
      [['policy', 'chek', '--json'], 'There is no command policy chek'],
      [['--json'], 'There is no flag --json'],
    ] as const) {
      const outcome = await area.cli(line);
      expect(outcome).toMatchObject({ status: 2, stderr: '' });
      expect(jsonOf(outcome)).toMatchObject({ version: 1, error: { code: 'AFW_USAGE', message } });
    }
  });

  test('a flag that does not exist gets the nearest one, status 2', async () => {
    expect(await cli(['list', '--jsn'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no flag --jsn
      Hint: Did you mean --json?
      --- exit 2 ---
      "
    `);
  });

  test('the sweeper makes no store where there is none any more', () => {
    const gone = join(area.dir, 'no-store');
    expect(spawnSync(process.execPath, ['dist/fast/sweep.cjs', gone], { cwd: repository }).status).toBe(0);
    expect(existsSync(gone)).toBe(false);
  });

  test('an output that takes nothing is a failure that says so', async () => {
    for (const line of ['list --json', 'comit --json', 'policy show', 'doctor', 'policy explain path x']) {
      const { status, stderr } = await area.native(['sh', '-c', '"$@" > /dev/full', 'sh', ...area.argv(line.split(' '))]);
      expect(`${line}: ${status} ${stderr}`).toMatch(/: 1 Error: Can't write the output\.\nCaused by: .*ENOSPC/);
    }
  });

  test.runIf(process.geteuid?.() === 0)('root writes no policy into the home of another, as a sudo may name it', async () => {
    const home = join(area.dir, 'theirs');
    mkdirSync(home);
    chownSync(home, 54321, 54321);
    const { status, stderr } = await area.cli(['policy', 'init'], { env: { HOME: home } });

    expect([status, stderr]).toEqual([1, `Error: Refusing to write ${home}/.config/agentfw/policy.yaml: ${home} belongs to uid 54321, who could not use it.\nHint: Run it as that user, or with a HOME of your own\n`]);
    expect(readdirSync(home)).toEqual([]);
  });

  test('flags that exclude each other are named', async () => {
    expect(await cli(['run', '--tag', 'a', '--in', 'b', 'sh'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: --tag and --in can’t be used together.
      Hint: See agentfw run --help
      --- exit 125 ---
      "
    `);
  });

  test('a word more than a command takes is a usage error', async () => {
    for (const line of ['list x', 'list -- x', 'doctor x', 'recover x', 'prune x', 'approvals x', 'policy show x', 'policy init x']) {
      const { status, stderr } = await area.cli(line.split(' '));
      expect(stderr, line).toMatch(/^Error: \w+( \w+)? takes no words\.\nHint: /);
      expect(status, line).toBe(2);
    }
    for (const line of ['status a b', 'status --tag a b', 'log a b', 'log --commits a -- b', 'kill --all -- a', 'undo a b', 'approve a b', 'deny a -- b', 'net allow a b c', 'policy trust a b']) {
      expect((await area.cli(line.split(' '))).status, line).toBe(2);
    }
  });

  test('a failure of `run` before the agent starts is 125, bad flags included', async () => {
    expect(await cli(['run', '--tga', 'x', 'sh'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no flag --tga
      Hint: Did you mean --tag?
      --- exit 125 ---
      "
    `);
    expect(await cli(['run'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: No agent is named.
      Hint: agentfw run claude, or agentfw run -- sh -c "…"
      --- exit 125 ---
      "
    `);
    expect(await cli(['run', '--tag', 'Not A Tag', 'true'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: A tag has 1 to 63 of a-z, 0-9, ".", "_", "-" and begins with a letter or digit.
      Hint: For example: --tag fix-login
      --- exit 125 ---
      "
    `);
  });

  test('nothing there is said, and `--json` is one object', async () => {
    expect(await cli(['list'])).toMatchInlineSnapshot(`
      "--- stderr ---
      No sandboxes.
      --- exit 0 ---
      "
    `);
    expect(await cli(['list', '--json'])).toMatchInlineSnapshot(`
      "{"version":1,"sandboxes":[],"broken":[],"undo":{"commits":0,"bytes":0}}
      --- exit 0 ---
      "
    `);
    expect(await cli(['status'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: There is no sandbox started in this directory.
      Hint: List them all: agentfw list
      --- exit 1 ---
      "
    `);
    expect(await cli(['status', 'nobody', '--json'])).toMatchInlineSnapshot(`
      "{"version":1,"error":{"code":"AFW_NO_SANDBOX","message":"There is no sandbox nobody","causes":[],"hint":"List them: agentfw list"}}
      --- exit 1 ---
      "
    `);
  });
});

needs('userns', 'overlay').describe('with sandboxes', () => {
  test('a run returns the agent’s status and says how it went in at most four lines', async () => {
    const job = 'echo four >> poem; rm -r old; echo new > fresh; exit 3';
    expect(await cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', job])).toMatchInlineSnapshot(`
      "--- stderr ---
      agentfw: 1 modified, 1 added, 2 deleted in job
      agentfw: look with agentfw diff job; then agentfw commit job or agentfw discard job
      --- exit 3 ---
      "
    `);
  });

  test('the agent gets its words byte for byte', async () => {
    const words = ['--help', '--json', '--', '', 'a', 'a', '--tag'];
    const out = await area.cli(['run', '--rm', '--net=off', 'printf', '<%s>', ...words]);

    expect(out.stdout).toBe('<--help><--json><--><><a><a><--tag>');
    const bytes = await area.native(['sh', '-c', `"$@" "$(printf 'x\\377')" | od -An -c`, 'sh', ...area.argv(['run', '--rm', '--net=off', 'printf', '%s'])]);
    expect(bytes.stdout).toBe('   x 377\n');
  });

  test('`list` shows state, agent, age and counts', async () => {
    expect(await cli(['list'])).toMatchInlineSnapshot(`
      "job  stopped  sh  $AGE  1 modified, 1 added, 2 deleted  $PROJECT
      --- exit 0 ---
      "
    `);
    expect(jsonOf<{ sandboxes: unknown[] }>(await area.cli(['list', '--json'])).sandboxes).toMatchObject([
      { tag: 'job', state: 'stopped', agent: 'sh', cwd: area.project, exit: { code: 3 }, counts: { modify: 1, add: 1, delete: 2 } },
    ]);
  });

  test('`show` prints the agent’s version', async () => {
    expect(await cli(['show', 'job:poem'])).toMatchInlineSnapshot(`
      "one
      two
      three
      four
      --- exit 0 ---
      "
    `);
    expect(await cli(['show', `job:${area.project}/fresh`])).toMatchInlineSnapshot(`
      "new
      --- exit 0 ---
      "
    `);
    expect(await cli(['show', 'job:old/gone'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: $PROJECT/old/gone was deleted by the agent.
      Hint: What the agent changed: agentfw diff --name-only
      --- exit 1 ---
      "
    `);
    symlinkSync(area.project, join(area.dir, 'way'));
    expect((await area.cli(['show', `job:${area.dir}/way/poem`])).stderr).toBe(`Error: ${area.dir}/way/poem lies behind a symlink, which may lead elsewhere in the sandbox.\nHint: Name the place that it leads to, or cd there\n`);
    expect(await cli(['show', 'job:nothing'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: $PROJECT/nothing does not exist.
      Hint: What the agent changed: agentfw diff --name-only
      --- exit 1 ---
      "
    `);
    expect(readFileSync(join(area.project, 'poem'), 'utf8')).toBe('one\ntwo\nthree\n');
  });

  test('`show` prints nothing that the agent could not see', async () => {
    writeFileSync(join(area.project, '.env'), 'KEY=secret\n');
    await area.cli(['run', '--tag', 'blind', '--net', 'off', '--', 'true']);

    const shown = await area.cli(['show', 'blind:.env']);
    expect(shown).toMatchObject({ status: 1, stdout: '' });
    expect(shown.stderr).toContain('.env is hidden from the sandbox: ');
    expect((await area.cli(['show', `blind:${area.project}`])).stderr).toContain('is a directory');
    await area.cli(['discard', 'blind', '--yes']);
    rmSync(join(area.project, '.env'));
  });

  test('`export` says what it can not write', async () => {
    const { status, stderr } = await area.cli(['export', 'job', '-o', `${area.project}/no/such/dir`]);
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Error: Can't write .*\/no\/such\/dir\.\nCaused by: ENOENT/) as string });
    // Not the disk of the sandboxes is full.
    const full = await area.cli(['export', 'job', '-o', '/dev/full']);
    expect([full.status, full.stderr]).toEqual([1, "Error: Can't write /dev/full.\nCaused by: ENOSPC: no space left on device, write\nHint: Name a file in a directory where you can write, or - for stdout\n"]);
  });

  test('a stopped sandbox leaves nothing that `rm -r` stumbles over', async () => {
    await area.cli(['run', '--tag', 'plain', '--net', 'off', '--', 'true']);

    expect(spawnSync('find', [area.state, '-type', 'd', '-perm', '0000'], { encoding: 'utf8' }).stdout).toBe('');
    await area.cli(['discard', 'plain', '--yes']);
  });

  test.each([['diff', ''], ['discard', 'job', '', '--yes'], ['commit', 'job', '', '--yes'], ['commit', 'job', '--take', 'host', '', '--yes']])('an empty word is no path: %s', async (...words) => {
    expect(await cli(words)).toContain('Error: A path is empty.');
    expect(await cli(words)).toContain('--- exit 2 ---');
  });

  test('a word that is a tag and a file is refused', async () => {
    writeFileSync(join(area.project, 'job'), '');

    expect(await cli(['discard', 'job'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: "job" is a sandbox and a file here.
      Hint: Say which: --tag job for the sandbox, -- job for the file
      --- exit 2 ---
      "
    `);
    // What a command says to do next is not refused either.
    expect((await area.cli(['run', '--in', 'job', '--net', 'off', '--', 'true'])).stderr).toContain('look with agentfw diff --tag job; then agentfw commit --tag job or agentfw discard --tag job');
    expect((await area.cli(['diff', '--tag', 'job'])).status).toBe(0);
    expect((await area.cli(['commit', '--tag', 'job', '--yes', 'nothing'])).stderr).toContain('Hint: List them: agentfw diff --tag job --name-only');
  });

  test('`discard` without a terminal and without `--yes` says what would be lost and stops (E118)', async () => {
    expect(await cli(['discard', '--tag', 'job'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Sandbox job: 1 modified, 1 added, 2 deleted. All of it will be lost.
      Error: There is no terminal to ask on.
      Hint: Say --yes to go on without asking
      --- exit 2 ---
      "
    `);
  });

  test('`discard --yes` returns at once and the bytes go in the background', async () => {
    expect(await cli(['discard', '--tag', 'job', '--yes'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Discarded job
      --- exit 0 ---
      "
    `);
    expect(existsSync(join(area.state, 'sandboxes/job'))).toBe(false);

    const { readdirSync } = await import('node:fs');
    await eventually('the trash is swept', () => readdirSync(join(area.state, 'trash')).join() === '.sweep.lock');
  });

  test('`kill` ends what runs, and a running sandbox can’t be discarded (E135)', async () => {
    const run = area.cli(['run', '--tag', 'long', '--net', 'off', 'sleep', '600']);
    await eventually('it runs', async () => (await area.cli(['status', 'long', '--json'])).stdout.includes('"state":"running"'));

    expect(await cli(['discard', 'long', '--yes'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Error: Sandbox long is running.
      Hint: End it first: agentfw kill long
      --- exit 1 ---
      "
    `);
    expect(jsonOf(await area.cli(['status', 'long', '--json']))).toMatchObject({ processes: [{ command: 'sleep 600' }] });
    expect(await cli(['kill', 'long'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Killed long
      --- exit 0 ---
      "
    `);
    expect((await run).status).toBe(137);
    expect(await cli(['kill', '--all'])).toMatchInlineSnapshot(`
      "--- stderr ---
      Nothing was running.
      --- exit 0 ---
      "
    `);
  });

  test('what only prints ends when nobody reads it any more', async () => {
    await area.cli(['run', '--tag', 'unread', '--net', 'off', '--', 'sh', '-c', 'echo more >> poem']);
    const ended = join(area.project, '..', 'ended');
    const piped = await area.native(['sh', '-c', 'file=$1; shift; { timeout 20 "$@"; echo "$?" > "$file"; } | true', 'sh', ended, ...area.argv(['log', 'unread', '--follow'])]);

    expect(piped).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(ended, 'utf8')).toBe('0\n');
    rmSync(ended);
  });

  test.skipIf(isSecondRun)('E135 many kept sandboxes are all listed, and each can be used and goes by itself', async () => {
    const tags = Array.from({ length: 12 }, (_, n) => `many${String(n).padStart(2, '0')}`);
    const made = await area.native(['sh', '-c', 'words=$1; shift; for tag; do $words run --tag $tag --net off -- sh -c "echo $tag > made" || exit; done', 'sh', area.argv([]).join(' '), ...tags]);
    expect(made.status, made.stderr).toBe(0);

    const listed = async (): Promise<readonly string[]> => jsonOf<{ readonly sandboxes: readonly { readonly tag: string }[] }>(await area.cli(['list', '--json'])).sandboxes.map(({ tag }) => tag).filter((tag) => tag.startsWith('many')).sort();
    expect(await listed()).toEqual(tags);
    expect((await area.cli(['show', `many07:${join(area.project, 'made')}`])).stdout).toBe('many07\n');
    for (const tag of tags.slice(1)) expect((await area.cli(['discard', tag, '--yes'])).status).toBe(0);
    expect(await listed()).toEqual(['many00']);
  });
});
