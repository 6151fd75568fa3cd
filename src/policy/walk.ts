import { lstatSync, readdir, type Dirent } from 'node:fs';
import { joinBytes, toBuffer, type Bytes } from '../bytes.js';

/** One name of a walked directory. */
export interface Entry {
  readonly path: Bytes;
  readonly name: Bytes;
  readonly kind: 'dir' | 'file' | 'symlink' | 'other';
}

export interface WalkRequest {
  readonly roots: readonly Bytes[];
  /** names of directories that are not entered */
  readonly skip: ReadonlySet<string>;
  /** directories that are not entered, e.g. network mounts */
  readonly avoid: ReadonlySet<Bytes>;
  /** entries after which the walk gives up */
  readonly limit: number;
  /** sees every entry; false keeps out of a directory */
  readonly visit: (entry: Entry) => boolean;
}

export interface WalkResult {
  readonly entries: number;
  readonly dirs: number;
  /** why not everything was seen, or null */
  readonly incomplete: string | null;
}

/** Directories read at a time: enough to keep a cold disk busy. */
const WIDTH = 16;

/** Walks trees breadth by breadth, several directories at once, links never followed. */
export function walk(request: WalkRequest): Promise<WalkResult> {
  const queue: Bytes[] = [...new Set(request.roots)];
  const seen = new Set<Bytes>(queue);
  let [entries, dirs, active, unread] = [0, 0, 0, 0];
  return new Promise((resolve, reject) => {
    const take = (dir: Bytes, list: readonly Dirent[]): void => {
      dirs += 1;
      entries += list.length;
      for (const dirent of list) {
        const name = dirent.name as Bytes;
        const path = joinBytes(dir, name);
        const kind = kindOf(dirent, path);
        const enter = request.visit({ path, name, kind });
        if (kind !== 'dir' || !enter || request.skip.has(name) || request.avoid.has(path) || seen.has(path)) continue;
        queue.push(path);
      }
    };
    const next = (): void => {
      while (active < WIDTH && queue.length > 0 && entries <= request.limit) {
        const dir = queue.pop() as Bytes;
        active += 1;
        readdir(toBuffer(dir), { withFileTypes: true, encoding: 'latin1' }, (error, list) => {
          active -= 1;
          try {
            if (error === null) take(dir, list);
            else if (!isGone(error)) unread += 1;
            next();
          } catch (thrown) {
            reject(thrown instanceof Error ? thrown : new Error(String(thrown)));
          }
        });
      }
      if (active > 0) return;
      const incomplete = entries > request.limit ? `gave up after ${entries} entries` : unread > 0 ? `${unread} directories could not be read` : null;
      resolve({ entries, dirs, incomplete });
    };
    next();
  });
}

/** What the user can't read or what has gone, the agent can't read either. */
function isGone(error: NodeJS.ErrnoException): boolean {
  return ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(error.code ?? '');
}

function kindOf(dirent: Dirent, path: Bytes): Entry['kind'] {
  if (dirent.isFile()) return 'file';
  if (dirent.isDirectory()) return 'dir';
  if (dirent.isSymbolicLink()) return 'symlink';
  if (dirent.isFIFO() || dirent.isSocket() || dirent.isCharacterDevice() || dirent.isBlockDevice()) return 'other';
  // The filesystem gives no types.
  const stat = lstatSync(toBuffer(path), { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? 'dir' : stat?.isSymbolicLink() === true ? 'symlink' : stat?.isFile() === true ? 'file' : 'other';
}
