import { createHash } from 'node:crypto';
import type { Bytes } from '../../bytes.js';
import type { Kernel } from '../../kernel/kernel.js';
import { readBase, type Bases } from '../base.js';
import type { JudgedChange } from '../change.js';
import { MOST_TO_COMPARE, type Seen } from '../scan/rename.js';

/** What the agent deleted, as it saw it: a rename of a file that the host edited since is found by that. */
export function seenOf(kernel: Kernel, sandboxDir: Bytes, bases: Bases): (change: JudgedChange) => Seen | 'unknown' | null {
  return ({ conflict, basePath, path }) => {
    if (conflict !== 'changed' && conflict !== 'uncaptured') return null;
    const base = bases.get(basePath ?? path);
    if (base?.state !== 'file') return 'unknown';
    return { size: base.size, digest: () => digestOf(readBase(kernel, sandboxDir, base, MOST_TO_COMPARE.bytes)) };
  };
}

function digestOf(content: Buffer | null): string | null {
  return content === null ? null : createHash('sha256').update(content).digest('hex');
}
