import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { joinBytes, nameOf, toBuffer, toText, type Bytes } from '../bytes.js';
import { standInFor, type ResolvedHides } from '../policy/index.js';

const MAX_BYTES = 1024 * 1024;

/**
 * Files of package managers that mix settings with credentials: what the agent
 * sees in the place of each. By hidden path.
 */
export function makeStandIns(sandboxDir: Bytes, { hides }: ResolvedHides): ReadonlyMap<Bytes, Bytes> {
  const dir = joinBytes(sandboxDir, 'redacted' as Bytes);
  rmSync(toBuffer(dir), { recursive: true, force: true });
  const made = new Map<Bytes, Bytes>();
  for (const { path, kind, rule } of hides) {
    const text = kind === 'file' && rule === 'secrets.registries' ? redacted(path) : null;
    if (text === null) continue;
    if (made.size === 0) mkdirSync(toBuffer(dir), { mode: 0o700 });
    const file = joinBytes(dir, `${made.size}-${nameOf(path)}` as Bytes);
    writeFileSync(toBuffer(file), text, { mode: 0o644, flag: 'wx' });
    made.set(path, file);
  }
  return made;
}

/** Null: it has no stand-in, or can't be read, and is just hidden. */
function redacted(path: Bytes): string | null {
  const name = toText(nameOf(path));
  if (standInFor(name, '') === null) return null;
  try {
    const bytes = readFileSync(toBuffer(path));
    return bytes.length > MAX_BYTES ? null : standInFor(name, bytes.toString('utf8'));
  } catch {
    return null;
  }
}
