/** Whoever presses Ctrl-C while a commit lands must not be left with half of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const FILES = 4000;
const [identity] = identities();
let area: Area;
const landed = (): number => readdirSync(area.project).filter((name) => /^f\d/.test(name)).length;

/** The command, sent the signal as soon as something is different on the host. */
async function struck(args: readonly string[], signal: NodeJS.Signals, begun: () => boolean): Promise<{ code: number | null; by: string | null; stderr: string }> {
  const [file = '', ...rest] = area.as(area.argv(args));
  const child = spawn(file, rest, { cwd: area.project, env: area.env, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (data: Buffer) => (stderr += data.toString()));
  const ended = once(child, 'close') as Promise<[number | null, string | null]>;
  while (!begun() && child.exitCode === null) await pause(0);
  child.kill(signal);
  const [code, by] = await ended;
  return { code, by, stderr };
}

needs('userns', 'overlay').describe('a signal while changes land', () => {
  beforeAll(async () => {
    area = createArea(identity!);
    const made = await area.cli(['run', '--tag', 'many', '--net', 'off', '--', 'sh', '-c', `i=0; while [ $i -lt ${FILES} ]; do echo $i > f$i; i=$((i+1)); done`]);
    expect(made.status, made.stderr).toBe(0);
  });
  afterAll(() => area.remove());

  test.each([['SIGINT'], ['SIGHUP'], ['SIGTERM']] as const)('%s lets a commit and an undo come to their end', async (signal) => {
    const commit = await struck(['commit', 'many', '--yes'], signal, () => existsSync(join(area.project, 'f0')) || landed() > 0);
    expect([commit.code, commit.by, landed()], commit.stderr).toEqual([0, null, FILES]);
    expect(commit.stderr).toContain(`Landed ${FILES} changes`);
    const undo = await struck(['undo'], signal, () => landed() < FILES);
    expect([undo.code, undo.by, landed()], undo.stderr).toEqual([0, null, 0]);
    expect((await area.cli(['recover'])).stderr).not.toMatch(/Finished|Took back|Dropped/);
    const again = await area.cli(['run', '--in', 'many', '--net', 'off', '--', 'sh', '-c', `i=0; while [ $i -lt ${FILES} ]; do echo $i > f$i; i=$((i+1)); done`]);
    expect(again.status, again.stderr).toBe(0);
  });

  test('what only looks says that a killed commit waits to be finished', async () => {
    const commit = await struck(['commit', 'many', '--yes'], 'SIGKILL', () => landed() > 0);
    expect([commit.by, landed() < FILES]).toEqual(['SIGKILL', true]);
    for (const words of [['list'], ['status', 'many'], ['diff', 'many', '--stat'], ['diff', 'many', '--name-only']]) {
      expect((await area.cli(words)).stderr, words.join(' ')).toMatch(/^Warning: The commit \w{26} was interrupted: what it lands may be there in part\. agentfw recover finishes it/m);
    }
    expect((await area.cli(['recover'])).stderr).toMatch(/^Finished the commit/);
    expect(landed()).toBe(FILES);
    expect((await area.cli(['list'])).stderr).not.toContain('interrupted');
  });
});
