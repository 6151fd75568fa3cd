import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { joinBytes, toBuffer } from '../bytes.js';
import { isNoSpace } from '../errors.js';
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

/**
 * The record beside its file, written but not in its place: `write` renames it there, `sync` waits
 * for the disk. Throws errno, ENOSPC and EDQUOT only where the reserve is used up too.
 */
export function noteRecord(store: Store, record: SandboxRecord): Note {
  const dir = sandboxDir(store, record.tag);
  const file = toBuffer(joinBytes(dir, 'sandbox.json' as Bytes));
  const temporary = toBuffer(joinBytes(dir, '.sandbox.json.new' as Bytes));
  const reserve = toBuffer(joinBytes(dir, 'reserve' as Bytes));
  const fd = written(temporary, encodeRecord(record), reserve);
  keepReserve(reserve);
  return {
    write: () => renameSync(temporary, file),
    sync: () => {
      fsyncSync(fd);
      closeSync(fd);
    },
  };
}

function written(file: Buffer, record: string, reserve: Buffer): number {
  const fd = openSync(file, 'w', 0o600);
  try {
    writeAll(fd, record);
    return fd;
  } catch (error) {
    closeSync(fd);
    if (!isNoSpace(error) || !existsSync(reserve)) throw error;
  }
  // The agent filled the disk, or used up the user's share of it. How it ended must still be written down.
  rmSync(reserve);
  return written(file, record, reserve);
}

/** Room for one more record when the disk is full: blocks that are ours already. */
function keepReserve(file: Buffer): void {
  if (existsSync(file)) return;
  for (const bytes of RESERVE_BYTES) {
    try {
      return writeFileSync(file, Buffer.alloc(bytes, 0x20), { mode: 0o600 });
    } catch {
      rmSync(file, { force: true });
    }
  }
}

/** As much as there is. */
const RESERVE_BYTES = [256 << 10, 128 << 10, 64 << 10];
