/** What the host renames, and what comes back beside what the agent renamed, takes no file from the agent's view. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const { test } = needs('userns', 'overlay');

for (const identity of identities()) {
  describe(`files of the host under new names, as ${identity.name}`, () => {
    let area: Area;
    const inside = async (line: string): Promise<string> => {
      const outcome = await area.cli(['run', '--in', 'box', '--net', 'off', '--on-exit', 'keep', '--', 'sh', '-c', line]);
      expect(outcome.status, outcome.stderr).toBe(0);
      return outcome.stdout;
    };
    // The listing looks up all names, so that each is met beside the others.
    const all = 'ls -li a b >/dev/null; for f in a/* b/*; do echo "$f $(cat "$f")"; done';

    beforeAll(async () => {
      area = createArea(identity);
      await area.native(['sh', '-c', 'mkdir a b; for f in edited moved linked dropped; do echo host $f >a/$f; done']);
      const line = 'echo agent >a/edited; mv a/moved b/moved; echo agent >b/moved; ln a/linked b/linked; chmod 600 a/linked; mv a/dropped b/dropped; echo agent >b/dropped';
      expect((await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', line])).status).toBe(0);
    });
    afterAll(() => area.remove());

    test('show beside the agent\'s own', async () => {
      for (const name of ['edited', 'moved']) renameSync(join(area.project, 'a', name), join(area.project, 'a', `${name}~`));

      expect(await inside(all)).toBe('a/edited agent\na/edited~ host edited\na/linked host linked\na/moved~ host moved\nb/dropped agent\nb/linked host linked\nb/moved agent\n');
    });
    test('a commit of one name, or a deletion that is dropped, leaves the others in the view', async () => {
      expect((await area.cli(['commit', '--tag', 'box', '--yes', 'a/linked'])).status).toBe(0);
      expect((await area.cli(['discard', '--tag', 'box', '--yes', 'a/dropped'])).status).toBe(0);

      expect(await inside(all)).toBe('a/dropped host dropped\na/edited agent\na/edited~ host edited\na/linked host linked\na/moved~ host moved\nb/dropped agent\nb/linked host linked\nb/moved agent\n');
    });
  });
}
