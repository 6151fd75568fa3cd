import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import { foreignGroupNote } from '../../src/sandbox/foreign-group.js';

test('a directory that gives its files a group without an id inside is told', () => {
  const dir = mkdtempSync(join(tmpdir(), 'agentfw-group-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const { gid } = statSync(dir);
  const note = (own: number): string | null => foreignGroupNote(fromText(dir), own);

  expect(note(gid + 1)).toBeNull();
  chmodSync(dir, 0o2775);
  expect(note(gid)).toBeNull();
  expect(note(987_654_321)).toMatch(/^files here get the group .* chgrp -R 987654321 \. && chmod g-s \./);
  expect(foreignGroupNote(fromText(join(dir, 'gone')), 1)).toBeNull();
});
