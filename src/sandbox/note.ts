import { closeSync, fsyncSync, openSync, renameSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes, toBuffer } from '../bytes.js';
import { writeAll } from '../kernel/files.js';
import { encodeRecord } from './record.js';
import type { SandboxRecord } from './sandbox.js';
import { sandboxDir, type Store } from './store.js';

/**
 * The record in two halves, for moments when an fsync would keep an agent
 * waiting. After `write` no death of a process loses it; after `sync` no
 * crash of the machine does. The caller holds the running lock.
 */
export interface Note {
  readonly write: () => void;
  readonly sync: () => void;
}

export function noteRecord(store: Store, record: SandboxRecord): Note {
  const dir = sandboxDir(store, record.tag);
  const file = toBuffer(joinBytes(dir, 'sandbox.json' as Bytes));
  const temporary = toBuffer(joinBytes(dir, '.sandbox.json.new' as Bytes));
  const fd = openSync(temporary, 'w', 0o600);
  writeAll(fd, encodeRecord(record));
  return {
    write: () => renameSync(temporary, file),
    sync: () => {
      fsyncSync(fd);
      closeSync(fd);
    },
  };
}
