import { joinBytes, parentOf, type Bytes } from '../../bytes.js';
import type { Root } from '../plan/step.js';

/** Of a filesystem's own room for layers and vaults: that stays where it is. */
const FOREIGN = /\/\.agentfw-\d+\/commits\/[^/]+$/;

/** What a journal says of the store it was written in, where that was moved since: `dir` is the commit's directory now. */
export function inPlace(roots: readonly Root[], dir: Bytes): readonly Root[] {
  const own = roots.find((root) => root.role === 'vault' && !FOREIGN.test(root.dir))?.dir;
  if (own === undefined || own === dir) return roots;
  const [before, now] = [storeOf(own), storeOf(dir)];
  return roots.map((root) => (root.role !== 'host' && root.dir.startsWith(`${before}/`) ? { ...root, dir: joinBytes(now, root.dir.slice(before.length + 1) as Bytes) } : root));
}

/** `STORE/commits/ID` */
function storeOf(commit: Bytes): Bytes {
  return parentOf(parentOf(commit));
}
