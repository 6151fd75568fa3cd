/**
 * What an agent can leave behind to make the commands after it stumble.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

interface Document {
  readonly changes: readonly { readonly path: string; readonly kind: string; readonly conflict: string | null }[];
}

for (const identity of identities()) {
  needs('userns', 'overlay').describe(`after a hostile agent, as ${identity.name}`, () => {
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

    test('files without permissions land, attributes and all, and are taken back', async () => {
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

    test('E61: what is in a directory without permissions is shown', async () => {
      const job = 'for n in 1 2 3 4 5 6 7 8; do mkdir -m 0300 $n; echo x > $n/secret; chmod 000 $n; done';
      expect((await area.cli(['run', '--tag', 'locked', '--net', 'off', '--', 'sh', '-c', job])).stderr).not.toContain('Error');

      const shown = await area.cli(['diff', 'locked', '--json']);
      expect(shown.stderr).toBe('');
      expect(jsonOf<Document>(shown).changes.map(({ path }) => path)).toContain(`${area.project}/8/secret`);
    });
  });
}
