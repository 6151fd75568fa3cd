import { existsSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import type * as Files from '../../src/kernel/files.js';
import { noteRecord } from '../../src/sandbox/note.js';
import { readRecord } from '../../src/sandbox/store.js';
import { tempDir } from '../kernel/temp.js';
import { make, storeIn } from './made.js';

const disk = { room: true, code: '', reserve: '' };
vi.mock('../../src/kernel/files.js', async (original) => {
  const files = await original<typeof Files>();
  const writeAll: typeof files.writeAll = (fd, text) => {
    // Full until the reserve is given up.
    if (!disk.room && existsSync(disk.reserve)) throw Object.assign(new Error(disk.code), { code: disk.code });
    files.writeAll(fd, text);
  };
  return { ...files, writeAll };
});

test.each(['ENOSPC', 'EDQUOT'])('how a run ended is written down though its agent used up all room: %s', (code) => {
  const dir = tempDir();
  const store = storeIn(dir);
  const record = make(store, 'a');
  noteRecord(store, record).write();
  Object.assign(disk, { room: false, code, reserve: `${dir}/state/sandboxes/a/reserve` });
  expect(existsSync(disk.reserve)).toBe(true);

  noteRecord(store, { ...record, state: 'stopped', exit: { code: 7 } }).write();
  disk.room = true;

  expect(readRecord(store, 'a')).toMatchObject({ exit: { code: 7 } });
});
