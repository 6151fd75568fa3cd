import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where results of reading and compiling are kept between runs: in the store, which is the user's alone. */
export interface Cache {
  readonly dir: string;
  readonly uid: number;
}

/** The cache of a store. */
export function cacheIn(stateDir: string, uid: number): Cache {
  return { dir: join(stateDir, 'cache', 'policy'), uid };
}

/** `digest` names all that the value depends on beside this program. */
export function fromCache<T>({ dir, uid }: Cache, digest: string): T | null {
  try {
    const fd = openSync(join(dir, `${cacheKey(digest)}.json`), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = fstatSync(fd);
      if (!stat.isFile() || stat.uid !== uid || (stat.mode & 0o022) !== 0) return null;
      return JSON.parse(readFileSync(fd, 'utf8')) as T;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null; // a cache that can't be read is no cache
  }
}

/** Writes nothing, and says so to nobody, where it can't: it is only a cache. */
export function toCache({ dir, uid }: Cache, digest: string, value: unknown): void {
  try {
    // A store is claimed by the store alone: until then there is no cache. Another user's, as HOME names it under sudo, may lead root anywhere.
    if (statSync(join(dir, '..', '..', 'format')).uid !== uid) return;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    forgetOldest(dir);
    const file = join(dir, `${cacheKey(digest)}.json`);
    const temporary = `${file}.${process.pid}.new`;
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    // the next run works it out again
  }
}

/** Shipped files alone take some twenty entries; a policy takes one per project and agent. */
const MOST = 256;

function forgetOldest(dir: string): void {
  const names = readdirSync(dir);
  if (names.length < MOST) return;
  const aged = names.map((name) => ({ name, at: statSync(join(dir, name)).mtimeMs })).sort((a, b) => a.at - b.at);
  for (const { name } of aged.slice(0, names.length - MOST / 2)) rmSync(join(dir, name), { force: true });
}

/** The input and the program together decide the result: a changed program must not find old ones. */
function cacheKey(digest: string): string {
  stamp ??= MODULES.map(stampOf).join();
  return createHash('sha256').update(`${stamp}\n${digest}`).digest('hex');
}
let stamp: string | null = null;

/** In the bundle all of them are `main`. */
const MODULES = ['main', 'yaml', 'schema', 'shape', 'normalise', 'examples', 'pattern', 'match', 'segments', 'host', 'units', 'compile', 'engine', 'holes', 'passthrough', 'settings', 'ip'];

function stampOf(name: string): string {
  const self = fileURLToPath(import.meta.url);
  const stat = statSync(join(dirname(self), `${name}${extname(self)}`), { throwIfNoEntry: false });
  return `${name}:${stat?.size}:${stat?.mtimeMs}`;
}
