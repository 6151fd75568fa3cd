import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { foreignGroupNote } from '../../src/sandbox/foreign-group.js';

test('a directory whose files have, or get, a group without an id inside is told', () => {
  const dir = mkdtempSync(join(tmpdir(), 'agentfw-group-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const { uid, gid } = statSync(dir);
  const note = (own: number, owner = uid): string | null => foreignGroupNote(fromText(dir), { uid: owner, gid: own });

  expect(note(gid + 1)).toBeNull();
  writeFileSync(join(dir, 'file'), '');
  expect(note(gid)).toBeNull();
  expect(note(987_654_321)).toMatch(/^what belongs to the group .* here can't be changed in the sandbox: chgrp -R 987654321 \. /);
  expect(note(987_654_321, uid + 1)).toBeNull();
  chmodSync(dir, 0o2775);
  expect(note(gid)).toBeNull();
  expect(note(987_654_321)).toMatch(/^files here get the group .* chgrp -R 987654321 \. && chmod g-s \./);
  expect(foreignGroupNote(fromText(join(dir, 'gone')), { uid, gid: 1 })).toBeNull();
});
