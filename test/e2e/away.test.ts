/** A filesystem that isn't mounted any more, with layers and what commits keep on it, or with the directory that they landed in. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const { test } = needs('root', 'overlay');
const [root] = identities();
const LONG = 120_000;

let area: Area;
let disk: string;
let drive: string;
beforeEach(() => {
  area = createArea(root!);
  [disk, drive] = [join(area.dir, 'disk'), join(area.dir, 'drive')];
  for (const dir of [disk, drive]) mkdirSync(dir);
  execFileSync('mount', ['-t', 'tmpfs', 'disk', disk]);
  plug();
});
afterEach(async () => {
  await area.cli(['kill', '--all']);
  for (const dir of [drive, disk]) execFileSync('sh', ['-c', 'umount -l "$0" 2>/dev/null || :', dir]);
  await area.remove();
});

function plug(): void {
  execFileSync('mount', ['--bind', disk, drive]);
}

/** The kernel lets go of an ended sandbox's mounts in its own time. */
async function unplug(): Promise<void> {
  await vi.waitFor(() => execFileSync('umount', [drive], { stdio: 'pipe' }), { timeout: LONG });
}

async function land(tag: string, cwd: string, script: string): Promise<void> {
  const run = await area.cli(['run', '--tag', tag, '--net', 'off', '--', 'sh', '-c', script], { cwd });
  expect(run.status, run.stderr).toBe(0);
  const commit = await area.cli(['commit', tag, '--yes'], { cwd });
  expect(commit.status, commit.stderr).toBe(0);
}

test('undo, discard and prune say what to mount, and remove what lies there once it is', async () => {
  const cwd = join(drive, 'p');
  mkdirSync(cwd);
  writeFileSync(join(cwd, 'f'), 'old\n');
  await land('landed', cwd, 'echo new >f');
  expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'echo x >g'], { cwd })).status).toBe(0);
  await unplug();

  const undo = await area.cli(['undo'], { cwd: drive });
  expect([undo.status, undo.stderr]).toEqual([1, expect.stringMatching(/^Error: What commit \S+ keeps of \S+ lies in \S+, which isn't there\.\nHint: Mount the filesystem that it lies on again\n$/)]);
  const discard = await area.cli(['discard', 'box', '--yes']);
  expect([discard.status, discard.stderr]).toEqual([0, expect.stringMatching(/^Warning: \S+\/box\.\S+ lies on a filesystem that isn't mounted: agentfw prune removes it once it is\.\nDiscarded box\n$/)]);
  await vi.waitFor(() => expect(readdirSync(join(area.state, 'trash')).filter((name) => !name.startsWith('.'))).toEqual([expect.stringMatching(/^stuck\.box/)]), { timeout: LONG });
  const early = await area.cli(['prune', '--keep-undo', '1B', '--yes']);
  expect([early.status, early.stderr.match(/^Warning: .* lies on a filesystem that isn't mounted\. Mount it and run agentfw prune again/gm)?.length]).toEqual([1, 2]);
  expect(readdirSync(drive)).toEqual([]);

  plug();
  const room = join(drive, `.agentfw-${root!.uid}`);
  expect(readdirSync(room).filter((name) => name.startsWith('box.'))).toHaveLength(1);
  expect((await area.cli(['undo'], { cwd: drive })).status).toBe(0);
  expect(readFileSync(join(cwd, 'f'), 'utf8')).toBe('old\n');
  expect((await area.cli(['prune', '--keep-undo', '1B', '--yes'])).status).toBe(0);
  expect([readdirSync(room).filter((name) => name.startsWith('box.')), readdirSync(join(room, 'commits'))]).toEqual([[], []]);
}, LONG);

test('undo puts nothing into the directory beneath the mount point', async () => {
  // The root of a filesystem holds no room of ours when it is the project itself.
  writeFileSync(join(drive, 'f'), 'old\n');
  writeFileSync(join(drive, 'gone'), 'gone\n');
  await land('landed', drive, 'echo new >f; rm gone');
  await unplug();

  const undo = await area.cli(['undo'], { cwd: drive });
  expect([undo.status, undo.stderr]).toEqual([3, expect.stringContaining(`not taken back ${join(drive, 'gone')}: a directory above it was renamed, replaced or removed on the host`)]);
  expect(readdirSync(drive)).toEqual([]);

  plug();
  const [id] = /01[0-9a-z]{24}/.exec((await area.cli(['log', '--commits'])).stdout) ?? [];
  expect((await area.cli(['undo', id!])).status).toBe(0);
  expect([readFileSync(join(drive, 'f'), 'utf8'), readFileSync(join(drive, 'gone'), 'utf8')]).toEqual(['old\n', 'gone\n']);
}, LONG);
