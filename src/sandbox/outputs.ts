import { fchmodSync, fstatSync, type Stats } from 'node:fs';

const OUTPUTS: readonly number[] = [1, 2];
const SET_ID = 0o6000;

/**
 * The agent may change the mode of a file that its output goes to, which is the host's. What settles that is the
 * driver; this is for one that was killed. Returns what takes set-id bits away that came since.
 * `outputs` are descriptors.
 */
export function watchOutputs(outputs = OUTPUTS): () => void {
  const before = outputs.map(statOf);
  return () => {
    outputs.forEach((fd, n) => takeSetId(fd, before[n] ?? null));
  };
}

function takeSetId(fd: number, before: Stats | null): void {
  const now = statOf(fd);
  if (before === null || now === null || now.ino !== before.ino || now.dev !== before.dev || !now.isFile()) return;
  const gained = now.mode & ~before.mode & SET_ID;
  if (gained === 0) return;
  try {
    fchmodSync(fd, now.mode & 0o7777 & ~gained);
  } catch {
    // Whoever may not change it could not have lent it rights either.
  }
}

/** Null: it is not open. */
function statOf(fd: number): Stats | null {
  try {
    return fstatSync(fd);
  } catch {
    return null;
  }
}
