/** What stands in the place of a file of the store and is none: nobody waits for it, and it is named. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, vi } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');
/** By file, who reads it. */
const READERS: readonly (readonly [file: string, command: readonly string[]])[] = [
  ['sandboxes/box/sandbox.json', ['diff', '--tag', 'box']],
  ['sandboxes/box/policy.json', ['status', 'box']],
  ['sandboxes/box/base/index', ['commit', 'box', '--yes']],
  ['sandboxes/box/running.lock', ['discard', 'box', '--yes']],
  ['sandboxes/box/audit.jsonl', ['commit', 'box', '--yes']],
  ['sandboxes/box/audit.jsonl', ['log', 'box']],
  ['sandboxes/box/audit.jsonl', ['export', 'box']],
  ['commits/.lock', ['commit', 'box', '--yes']],
  ['audit-key.pem', ['run', '--in', 'box', '--net', 'off', '--', 'true']],
  ['format', ['list']],
];
/** of a command that waits for a writer, which none would get */
const LONG = 120_000;

for (const identity of identities()) {
  describe(`the store as ${identity.name}`, () => {
    let area: Area;
    beforeAll(async () => {
      area = createArea(identity);
      const { status, stderr } = await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo x >f']);
      expect(status, stderr).toBe(0);
      expect((await area.cli(['recover'])).status).toBe(0);
    });
    afterAll(() => area.remove());

    // Nothing is closed to root.
    if (identity.name === 'user') test('a store that can not be reached is named, and the mend', async () => {
      const closed = join(area.dir, 'closed');
      mkdirSync(closed, { mode: 0 });
      const { status, stderr } = await area.cli(['list'], { env: { AGENTFW_STATE_DIR: join(closed, 'state') } });
      rmSync(closed, { recursive: true });
      expect([status, stderr.startsWith(`Error: You may not reach the store ${join(closed, 'state')}.\n`), stderr.endsWith('\nHint: Set AGENTFW_STATE_DIR to a directory of yours\n')]).toEqual([1, true, true]);
    });

    for (const [file, command] of READERS) {
      test(`E106: a FIFO, a symlink or a directory for ${file} is named, and nobody waits`, async () => {
        const path = join(area.state, file);
        const isThere = existsSync(path);
        if (isThere) renameSync(path, `${path}.kept`);
        try {
          for (const make of [['mkfifo'], ['ln', '-s', '/etc/hostname'], ['mkdir']]) {
            expect((await area.native([...make, path])).status).toBe(0);
            const { status, stderr } = await area.cli([...command], { timeout: LONG });
            expect([1, 125], stderr).toContain(status);
            expect(stderr).toContain(path);
            expect(stderr).toMatch(/^Hint: /m);
            expect(existsSync(join(area.project, 'f'))).toBe(false);
            rmSync(path, { recursive: true });
          }
        } finally {
          rmSync(path, { recursive: true, force: true });
          if (isThere) renameSync(`${path}.kept`, path);
        }
      });
    }
  });
}

for (const identity of identities()) {
  test(`what was landed is taken back from a store that was moved since (${identity.name})`, async () => {
    const area = createArea(identity);
    try {
      expect((await area.native(['sh', '-c', 'echo old >f; echo gone >g'])).status).toBe(0);
      expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo new >f; rm g; echo n >made'])).status).toBe(0);
      expect((await area.cli(['commit', 'box', '--yes'])).status).toBe(0);
      const moved = { env: { AGENTFW_STATE_DIR: `${area.state}-moved` } };
      renameSync(area.state, moved.env.AGENTFW_STATE_DIR);

      const undo = await area.cli(['undo'], moved);
      expect([undo.status, undo.stderr]).toEqual([0, expect.stringContaining('Took back 3 changes')]);
      expect([readFileSync(join(area.project, 'f'), 'utf8'), readFileSync(join(area.project, 'g'), 'utf8'), existsSync(join(area.project, 'made'))]).toEqual(['old\n', 'gone\n', false]);
      expect(existsSync(area.state)).toBe(false);
    } finally {
      await area.remove();
    }
  }, LONG);
}

test('`log --commits`, `list`, `undo` and `prune` name a commit whose record is damaged, and go on with the others', async () => {
  const area = createArea(identities()[0]!);
  const commits = join(area.state, 'commits');
  const made = (): string[] => readdirSync(commits).filter((name) => !name.startsWith('.'));
  try {
    expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo 1 >f; echo 2 >g'])).status).toBe(0);
    expect((await area.cli(['commit', 'box', 'f', '--yes'])).status).toBe(0);
    const [broken = ''] = made();
    expect((await area.cli(['commit', 'box', 'g', '--yes'])).status).toBe(0);
    const whole = made().find((id) => id !== broken);
    expect((await area.cli(['log', '--commits', '--json'])).stdout).toContain('"broken":[]');
    for (const name of readdirSync(join(commits, broken))) {
      rmSync(join(commits, broken, name), { recursive: true });
      writeFileSync(join(commits, broken, name), 'junk');
    }

    const { status, stdout, stderr } = await area.cli(['log', '--commits']);
    expect([status, stdout.split(' ')[0], stdout.trimEnd().split('\n').length]).toEqual([1, whole, 1]);
    expect(stderr).toMatch(new RegExp(`^Warning: ${broken}: .*can't be read.* Move ${join(commits, broken)} away`));
    const asJson = await area.cli(['log', '--commits', '--json']);
    expect([asJson.status, JSON.parse(asJson.stdout)]).toMatchObject([1, { commits: [{ id: whole }], broken: [{ id: broken }] }]);

    const named = expect.stringMatching(new RegExp(`^Warning: ${broken}: .* Move ${join(commits, broken)} away`, 'm')) as string;
    expect(await area.cli(['list'])).toMatchObject({ status: 0, stderr: named });
    const undo = await area.cli(['undo']);
    expect(undo).toMatchObject({ status: 0, stderr: named });
    expect(undo.stderr).toContain('Took back 1 change: 1 deleted');
    expect(readdirSync(area.project)).not.toContain('g');
    expect(await area.cli(['prune', '--keep-undo', '1B', '--yes'])).toMatchObject({ status: 1, stdout: expect.stringContaining(whole ?? '') as string, stderr: named });
    expect(await area.cli(['undo'])).toMatchObject({ status: 1, stderr: expect.stringContaining(`Move ${join(commits, broken)} away`) as string });
  } finally {
    await area.remove();
  }
}, LONG);

const asRoot = needs('root', 'overlay');

asRoot.test('an agent that failed has its own status although its changes could not be looked at; with --rm they stay', async () => {
  const [root] = identities();
  const area = createArea(root!);
  const drive = join(area.dir, 'drive');
  mkdirSync(drive);
  execFileSync('mount', ['-t', 'tmpfs', 'drive', drive]);
  try {
    mkdirSync(join(drive, 'p'));
    const room = join(drive, `.agentfw-${root!.uid}`);
    const run = area.cli(['run', '--rm', '--report', join(area.dir, 'report'), '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo x >f; sleep 3; exit 4'], { cwd: join(drive, 'p') });
    await vi.waitFor(() => expect(readdirSync(room, { recursive: true }).some((path) => String(path).endsWith('/p/f'))).toBe(true), { timeout: LONG });
    renameSync(room, join(drive, 'away'));
    const { status, stderr } = await run;
    expect([status, stderr]).toEqual([4, expect.stringContaining('Error: What was changed below ')]);
    expect(JSON.parse(readFileSync(join(area.dir, 'report'), 'utf8'))).toMatchObject({ error: { code: expect.any(String) as string }, status: 4 });

    renameSync(join(drive, 'away'), room);
    expect((await area.cli(['diff', 'box', '--name-only'])).stdout).toContain('p/f');
  } finally {
    await area.cli(['discard', 'box', '--yes']);
    execFileSync('umount', ['-l', drive]);
    await area.remove();
  }
}, LONG);

asRoot.test('layers on a filesystem that is gone are named by whatever needs them, and found again with it', async () => {
  const [root] = identities();
  const area = createArea(root!);
  const drive = join(area.dir, 'drive');
  mkdirSync(join(drive, 'p'), { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', 'drive', drive]);
  try {
    mkdirSync(join(drive, 'p'));
    const there = { cwd: join(drive, 'p') };
    expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo x >f'], there)).status).toBe(0);
    const room = join(drive, `.agentfw-${root!.uid}`);
    renameSync(room, join(drive, 'away'));
    for (const [status, command] of [[1, ['diff', 'box']], [1, ['commit', 'box', '--yes']], [125, ['run', '--in', 'box', '--net', 'off', '--', 'true']]] as const) {
      const outcome = await area.cli(command, there);
      expect([outcome.status, outcome.stderr]).toEqual([status, expect.stringMatching(/^Error: What was changed below \S+ lies in \S+, which isn't there\.\nHint: Mount the filesystem/)]);
    }
    const status = await area.cli(['status', 'box'], there);
    expect([status.status, status.stdout, status.stderr]).toEqual([0, expect.stringMatching(/^changes +\?$/m), expect.stringMatching(/^Warning: What was changed below /)]);
    expect((await area.cli(['prune', '--yes'])).stderr).toContain('Nothing to prune');
    renameSync(join(drive, 'away'), room);
    expect((await area.cli(['diff', 'box', '--name-only'], there)).stdout).toBe(`${join(drive, 'p/f')}\n`);
  } finally {
    await area.cli(['discard', 'box', '--yes']);
    execFileSync('umount', ['-l', drive]);
    await area.remove();
  }
});
