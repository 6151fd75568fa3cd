import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { fromBuffer, isWithin, joinBytes, toBuffer, type Bytes } from '../bytes.js';
import { absolute } from './program.js';
import type { SandboxRecord } from './sandbox.js';

/** A symlink in what passes through, and where it says that it leads. */
export interface LeftLink {
  readonly path: Bytes;
  readonly target: Bytes;
}

/** The look comes after the agent and before the user's prompt. */
const MOST_ENTRIES = 20_000;

/**
 * Symlinks that were made in passed-through directories since the start and lead out of
 * them. They are on the host as they are: a program there that opens one by its usual
 * name, such as the same agent, would read or write what the agent chose.
 */
export function leftLinks({ mounts, t0 }: Pick<SandboxRecord, 'mounts' | 't0'>): readonly LeftLink[] {
  const found: LeftLink[] = [];
  let entries = 0;
  for (const { path: root } of mounts.filter(({ decision }) => decision === 'passthrough')) {
    const dirs = [root];
    for (let dir = dirs.pop(); dir !== undefined && entries < MOST_ENTRIES; dir = dirs.pop()) {
      for (const entry of entriesOf(dir)) {
        entries += 1;
        const path = joinBytes(dir, fromBuffer(entry.name));
        if (entry.isDirectory()) dirs.push(path);
        else if (entry.isSymbolicLink()) {
          const target = newTarget(path, t0);
          if (target !== null && !isWithin(absolute(target, dir), root)) found.push({ path, target });
        }
      }
    }
  }
  return found;
}

function entriesOf(dir: Bytes) {
  try {
    return readdirSync(toBuffer(dir), { withFileTypes: true, encoding: 'buffer' });
  } catch {
    return [];
  }
}

/** Null: it was there before, or has gone. */
function newTarget(path: Bytes, t0: bigint): Bytes | null {
  try {
    const { ctimeNs } = lstatSync(toBuffer(path), { bigint: true });
    return ctimeNs < t0 ? null : fromBuffer(readlinkSync(toBuffer(path), { encoding: 'buffer' }));
  } catch {
    return null;
  }
}
