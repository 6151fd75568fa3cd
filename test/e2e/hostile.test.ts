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

    test('E61: what is in a directory without permissions is shown', async () => {
      const job = 'for n in 1 2 3 4 5 6 7 8; do mkdir -m 0300 $n; echo x > $n/secret; chmod 000 $n; done';
      expect((await area.cli(['run', '--tag', 'locked', '--net', 'off', '--', 'sh', '-c', job])).stderr).not.toContain('Error');

      const shown = await area.cli(['diff', 'locked', '--json']);
      expect(shown.stderr).toBe('');
      expect(jsonOf<Document>(shown).changes.map(({ path }) => path)).toContain(`${area.project}/8/secret`);
    });
  });
}
