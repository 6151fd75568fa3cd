/** `discard` and `prune` take nothing along that is the host's, or that nobody was shown. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';
import { openTerminal } from '../helpers/tmux.js';

const FILES = 1500;

for (const identity of identities()) {
  needs('tmux', 'userns', 'overlay').describe(`throwing away, as ${identity.name}`, () => {
    const { test } = needs('tmux');
    let area: Area;
    beforeEach(() => (area = createArea(identity)));
    afterEach(() => area.remove());

    const read = (n: number): string => readFileSync(join(area.project, `f${n}`), 'utf8');
    const newFiles = (): number => Array.from({ length: FILES }, (_, n) => read(n)).filter((text) => text === 'new\n').length;

    /** A commit that is killed when something of it is on the host: what the host had before lies in the layer then. */
    async function halfLanded(): Promise<void> {
      for (let n = 0; n < FILES; n += 1) writeFileSync(join(area.project, `f${n}`), 'old\n');
      const run = await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', 'for f in f*; do echo new >t; mv t $f; done']);
      expect(run.status, run.stderr).toBe(0);
      const [file = '', ...rest] = area.as(area.argv(['commit', 'box', '--yes']));
      const child = spawn(file, rest, { cwd: area.project, env: area.env, stdio: 'ignore' });
      const ended = once(child, 'close');
      while (child.exitCode === null && read(0) === 'old\n' && read(FILES / 2) === 'old\n') await pause(0);
      child.kill('SIGKILL');
      await ended;
      expect(newFiles()).toBeLessThan(FILES);
    }

    test('discard finishes an interrupted commit first: the layer holds what the host had', async () => {
      await halfLanded();

      const discard = await area.cli(['discard', 'box', '--yes']);

      expect([discard.status, discard.stderr]).toEqual([0, expect.stringMatching(/^Finished the commit \w{26}, which was interrupted\.\nDiscarded box\n$/)]);
      expect(newFiles()).toBe(FILES);
      expect((await area.cli(['undo'])).status).toBe(0);
      expect(newFiles()).toBe(0);
    });

    test('where that can not be settled discard and prune wait for it', async () => {
      await area.cli(['run', '--tag', 'first', '--net', 'off', '--', 'sh', '-c', 'echo x >f']);
      expect((await area.cli(['commit', 'first', '--yes'])).status).toBe(0);
      await area.native(['sh', '-c', 'mkdir "$0"; printf %s "{\\"version\\":9}" >"$0/plan"; sleep 1', join(area.state, 'commits/newer')]);
      const discard = await area.cli(['discard', 'first', '--yes']);
      expect([discard.status, discard.stderr]).toEqual([1, expect.stringMatching(/^Error: An earlier commit newer is unfinished: /m)]);
      const prune = await area.cli(['prune', '--yes']);
      expect([prune.status, prune.stderr]).toEqual([1, expect.stringMatching(/^Warning: first stays: An earlier commit newer is unfinished/m)]);
      expect((await area.cli(['diff', '--tag', 'first'])).status).toBe(0);
      const list = await area.cli(['list']);
      expect([list.status, list.stdout, list.stderr]).toEqual([0, expect.stringMatching(/^first +committed /), expect.stringMatching(/^Warning: newer: The journal \S+\/newer\/plan can't be read/m)]);
      expect(jsonOf(await area.cli(['list', '--json']))).toMatchObject({ sandboxes: [{ tag: 'first' }], undo: { commits: 1 } });
    });

    test('prune leaves what was used while its question stood', async () => {
      expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'true'])).status).toBe(0);
      await area.native(['sh', '-c', 'echo old >f0']);
      expect((await area.cli(['run', '--tag', 'landed', '--net', 'off', '--', 'sh', '-c', 'echo new >f0'])).status).toBe(0);
      const terminal = await openTerminal(area);
      try {
        await area.native(['sh', '-c', 'sleep 1']);
        await terminal.type('clear; agentfw prune --older-than 1s --keep-undo 1B; echo "status=$?"');
        await terminal.sees(/Remove them for good\?/);
        expect((await area.cli(['run', '--in', 'box', '--net', 'off', '--', 'sh', '-c', 'echo work >g'])).status).toBe(0);
        expect((await area.cli(['commit', 'landed', '--yes'])).status).toBe(0);
        await terminal.type('y');
        await terminal.sees(/status=1/);
      } finally {
        await terminal.close();
      }
      expect((await area.cli(['show', `box:${join(area.project, 'g')}`])).stdout).toBe('work\n');
      expect((await area.cli(['undo'])).status).toBe(0);
      expect(read(0)).toBe('old\n');
    });
  });
}
