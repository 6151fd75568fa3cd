/** `agentfw selftest`: the walls as the user's own machine and policy have them. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { native } from '../../src/kernel/native.js';
import { tryLock } from '../../src/sandbox/lock.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, unnoticed, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');

interface Told {
  readonly held: boolean;
  readonly attempts: readonly { readonly name: string; readonly held: boolean; readonly meaning: string; readonly detail: string }[];
}

for (const identity of identities()) {
  describe(`selftest as ${identity.name}`, () => {
    let area: Area;
    beforeEach(() => {
      area = createArea(identity);
    });
    afterEach(() => area.remove());

    test('every wall holds; nothing is left', async () => {
      const { status, stdout, stderr } = await area.cli(['selftest']);
      expect(stdout.split('\n').filter((line) => line !== '' && !line.startsWith('held  '))).toEqual([]);
      expect({ status, stderr: unnoticed(stderr) }).toEqual({ status: 0, stderr: `All ${stdout.trimEnd().split('\n').length} walls held.\n` });
      expect(readdirSync(area.env['TMPDIR'] ?? '')).toEqual([]);
      expect((await area.cli(['list', '--json'])).stdout).toContain('"sandboxes":[]');
    });

    test('what a killed one left goes with the next one, and nothing else', async () => {
      const tmp = area.env['TMPDIR'] ?? '';
      const place = (name: string): string => join(tmp, `agentfw-selftest-${name}`);
      for (const name of ['killed', 'running', 'unknown']) await area.native(['mkdir', place(name)]);
      for (const name of ['killed', 'running']) await area.native(['touch', join(place(name), 'lock')]);
      const lock = tryLock(native, fromText(join(place('running'), 'lock')));
      for (const name of ['killed', 'running']) {
        expect((await area.cli(['run', '--tag', `selftest-${name}`, '--net', 'off', '--', 'touch', 'made'], { cwd: place(name) })).status).toBe(0);
      }

      expect((await area.cli(['selftest'])).status).toBe(0);
      lock?.release();
      expect(lock).not.toBeNull();
      expect(readdirSync(tmp).sort()).toEqual(['agentfw-selftest-running', 'agentfw-selftest-unknown']);
      const { sandboxes } = jsonOf<{ readonly sandboxes: readonly { readonly tag: string }[] }>(await area.cli(['list', '--json']));
      expect(sandboxes.map(({ tag }) => tag)).toEqual(['selftest-running']);
    });

    test('a policy that hands a directory to the host is told from a wall, in JSON too', async () => {
      const config = join(area.home, '.config/agentfw/policy.yaml');
      mkdirSync(dirname(config), { recursive: true });
      const given = `["${area.env['TMPDIR'] ?? ''}/**"]`;
      writeFileSync(config, `version: 1\nfiles: {passthrough: ${given}}\nchanges: {accept: ${given}}\n`);
      const done = await area.cli(['selftest', '--json']);
      const { held, attempts } = jsonOf<Told>(done);
      expect(done.status).toBe(1);
      expect(held).toBe(false);
      expect(attempts.filter((one) => !one.held)).toEqual(
        ['overwrite', 'create', 'delete'].map((what) => ({ name: `files.${what}`, held: false, meaning: expect.any(String) as string, detail: 'it reached the host' })),
      );
    });

    test('inside a sandbox it is refused', async () => {
      const done = await area.cli(['run', '--net', 'off', '--', ...area.argv(['selftest'])]);
      expect(done.status).toBe(1);
      expect(done.stderr).toMatch(/^Error: .*inside/m);
    });
  });
}
