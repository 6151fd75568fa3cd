/** The package as npm makes it: what is in it is enough to run, away from the checkout. */
import { execa } from 'execa';
import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { x as extract } from 'tar';
import { expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, repository } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');
const checkout = fileURLToPath(new URL('../..', import.meta.url));

for (const identity of identities()) {
  test(`an installed package runs an agent and needs no build, as ${identity.name}`, async () => {
    const area = createArea(identity);
    try {
      const packed = await execa('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', area.dir], { cwd: checkout, env: { HOME: area.home } });
      const [{ filename }] = JSON.parse(packed.stdout) as [{ readonly filename: string }];
      const room = join(area.dir, 'lib');
      mkdirSync(room);
      await extract({ file: join(area.dir, filename), cwd: room });
      const root = join(room, 'package');
      symlinkSync(join(repository, 'node_modules'), join(root, 'node_modules'));
      const cli = async (...words: readonly string[]): ReturnType<typeof area.native> => area.native([process.execPath, join(root, 'bin/run.js'), ...words]);

      // What npm runs where it installs the package.
      const installed = await area.native(['sh', '-c', `cd '${root}' && '${process.execPath}' scripts/install.mjs`]);
      expect(installed, installed.stderr).toMatchObject({ status: 0, stdout: '', stderr: '' });
      expect((await cli('run', '--tag', 'box', '--net', 'deny', '--', 'sh', '-c', 'echo hi > new')).status).toBe(0);
      expect((await cli('diff', 'box', '--name-only')).stdout).toBe(`${join(area.project, 'new')}\n`);
      expect((await cli('policy', 'explain', 'path', '~/.ssh/id_rsa')).stdout).toContain('deny');
      expect((await cli('commit', 'box', '--yes')).status).toBe(0);
      expect((await cli('--help')).stdout).toContain('selftest');
      await cli('kill', '--all');
    } finally {
      await area.remove();
    }
  });
}
