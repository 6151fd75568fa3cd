/** What stands in the place of a file of the store and is none: nobody waits for it, and it is named. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
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

    for (const [file, command] of READERS) {
      test(`E106: a FIFO or a directory for ${file} is named, and nobody waits`, async () => {
        const path = join(area.state, file);
        const isThere = existsSync(path);
        if (isThere) renameSync(path, `${path}.kept`);
        try {
          for (const make of ['mkfifo', 'mkdir']) {
            expect((await area.native([make, path])).status).toBe(0);
            const { status, stderr } = await area.cli([...command], { timeout: LONG });
            expect([1, 125], stderr).toContain(status);
            expect(stderr).toContain(path);
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
