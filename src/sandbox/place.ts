import { constants } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, joinBytes, nameOf, parentOf, toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError, errnoOf, usageError } from '../errors.js';
import { readWhole, replaceFile } from '../kernel/files.js';
import { AT_FDCWD, type Kernel, type Stat } from '../kernel/kernel.js';
import { isInside } from './nested.js';

/** First line of the file `format` in the store. */
const FORMAT = 'agentfw store 1\n';

/** Where the store is: $AGENTFW_STATE_DIR, else $XDG_STATE_HOME/agentfw, else ~/.local/state/agentfw. */
export function storePath(env: Context['env']): Bytes {
  const own = env['AGENTFW_STATE_DIR'];
  if (own !== undefined && own !== '') {
    if (!own.startsWith('/')) throw usageError('AGENTFW_STATE_DIR must be an absolute path.', 'Begin it with /');
    return normal(fromText(own));
  }
  const xdg = env['XDG_STATE_HOME'];
  if (xdg?.startsWith('/') === true) return normal(fromText(`${xdg}/agentfw`));
  const home = env['HOME'];
  if (home?.startsWith('/') !== true) {
    throw new AgentfwError('AFW_STORE_PLACE', `No place for the store: HOME is ${home === undefined || home === '' ? 'not set' : 'not an absolute path'}.`, {
      hint: 'Set AGENTFW_STATE_DIR to a directory of yours',
    });
  }
  return normal(fromText(`${home}/.local/state/agentfw`));
}

/**
 * Makes sure that the store is a private directory of this user and that
 * nobody else chose where it lies, and returns its real path. What is missing
 * is made with mode 0700.
 */
export function secureStore(context: Context, path: Bytes): Bytes {
  try {
    return securePath(context, path);
  } catch (cause) {
    if (errnoOf(cause) !== 'EACCES') throw cause;
    throw new AgentfwError('AFW_STORE_PLACE', `You may not reach the store ${toText(path)}.`, { cause, hint: 'Set AGENTFW_STATE_DIR to a directory of yours' });
  }
}

function securePath(context: Context, path: Bytes): Bytes {
  const { kernel, uid } = context;
  refuseUmask();
  refuseNoHome(context, path);
  const real = joinBytes(walkAbove(kernel, path, uid), nameOf(path));
  const stat = kernel.statOrNull(AT_FDCWD, real) ?? makeDir(kernel, real);
  if ((stat.mode & constants.S_IFMT) === constants.S_IFLNK) throw foreign(path, 'it is a symlink');
  checkDir(stat, real, path);
  if (stat.uid !== uid) throw foreign(real, `it belongs to uid ${stat.uid}`);
  if (!isClaimed(kernel, real)) claim(kernel, real);
  if ((stat.mode & 0o077) !== 0) kernel.chmod(AT_FDCWD, real, 0o700);
  return real;
}

/** A home directory is nobody's to make but an administrator's, and a misspelt one holds what is never found again. */
function refuseNoHome({ kernel, env }: Context, path: Bytes): void {
  const home = fromText(env['HOME'] ?? '');
  if (home === '' || path !== normal(joinBytes(home, '.local/state/agentfw' as Bytes)) || kernel.statOrNull(AT_FDCWD, home) !== null) return;
  throw new AgentfwError('AFW_STORE_PLACE', `No place for the store: the home directory ${toText(home)} does not exist.`, { hint: 'Set HOME, or AGENTFW_STATE_DIR to a directory of yours' });
}

/** With such a mask we could not even enter what we make. */
function refuseUmask(): void {
  const mask = process.umask();
  if ((mask & 0o700) === 0) return;
  throw new AgentfwError('AFW_UMASK', `The umask ${mask.toString(8).padStart(3, '0')} takes your own access to new files away.`, { hint: `Set another one first: umask ${(mask & 0o077).toString(8).padStart(3, '0')}` });
}

/** False when the directory has no mark yet; another one than ours is refused. */
export function isClaimed(kernel: Kernel, dir: Bytes): boolean {
  const format = readWhole(kernel, joinBytes(dir, 'format' as Bytes))?.toString('latin1');
  if (format !== undefined && format !== FORMAT) throw otherFormat(dir, format);
  return format !== undefined;
}

/** Marks an empty directory as a store; one that holds something else is left alone. First commands at once take turns. */
function claim(kernel: Kernel, dir: Bytes): void {
  const fd = kernel.open(AT_FDCWD, dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    kernel.flock(fd, 'exclusive', true);
    if (isClaimed(kernel, dir)) return;
    const names = kernel.list(fd);
    if (names.some((name) => !OURS.has(name))) {
      throw new AgentfwError('AFW_STORE_PLACE', `Refusing to use ${toText(dir)} as the store: it holds other files.`, {
        hint: 'Set AGENTFW_STATE_DIR to a new or an empty directory',
      });
    }
    for (const name of ['sandboxes', 'commits', 'trash'] as Bytes[]) {
      if (!names.includes(name)) makeDir(kernel, joinBytes(dir, name));
    }
    replaceFile(kernel, joinBytes(dir, 'format' as Bytes), FORMAT);
  } finally {
    kernel.close(fd);
  }
}

/** What an interrupted `claim` may have left. */
const OURS: ReadonlySet<string> = new Set(['sandboxes', 'commits', 'trash', '.format.new']);

/** Walks to the store's parent by hand, because who owns each symlink decides whether it may be followed. */
function walkAbove(kernel: Kernel, path: Bytes, uid: number): Bytes {
  const left = parentOf(path).split('/').filter((part) => part !== '') as Bytes[];
  let here = '/' as Bytes;
  for (let links = 0; left.length > 0; ) {
    const name = left.shift() as Bytes;
    if (name === '..') {
      here = here.slice(0, Math.max(here.lastIndexOf('/'), 1)) as Bytes;
      continue;
    }
    const next = joinBytes(here, name);
    const stat = kernel.statOrNull(AT_FDCWD, next) ?? makeDir(kernel, next);
    if ((stat.mode & constants.S_IFMT) === constants.S_IFLNK) {
      links += 1;
      if (stat.uid !== uid && stat.uid !== 0) throw foreign(path, `${toText(next)} is a symlink of uid ${stat.uid}`);
      if (links > 40) throw foreign(path, 'it has too many symlinks');
      const target = kernel.readlink(AT_FDCWD, next);
      if (target.startsWith('/')) here = '/' as Bytes;
      left.unshift(...(target.split('/').filter((part) => part !== '' && part !== '.') as Bytes[]));
      continue;
    }
    checkDir(stat, next, path);
    here = next;
  }
  return here;
}

function checkDir(stat: Stat, dir: Bytes, path: Bytes): void {
  if ((stat.mode & constants.S_IFMT) !== constants.S_IFDIR) throw foreign(path, `${toText(dir)} is not a directory`);
  if ((stat.mode & 0o1002) === 0o0002) throw foreign(path, `everybody can replace what is in ${toText(dir)}`);
}

function makeDir(kernel: Kernel, dir: Bytes): Stat {
  try {
    kernel.mkdir(AT_FDCWD, dir, 0o700);
  } catch (cause) {
    // Another first command was quicker.
    if (errnoOf(cause) === 'EEXIST') return kernel.stat(AT_FDCWD, dir);
    if (isInside()) throw outOfReach();
    throw new AgentfwError('AFW_STORE_PLACE', `Can't make the store's directory ${toText(dir)}`, {
      cause,
      hint: 'Set AGENTFW_STATE_DIR to a directory where you can write',
    });
  }
  return kernel.stat(AT_FDCWD, dir);
}

/** Inside, the store that all is in is hidden: an empty one in its place would say that there are no sandboxes. */
export function refuseOwnStore({ kernel, env }: Pick<Context, 'kernel' | 'env'>): void {
  if (isMissing(kernel, storePath(env)) && isInside()) throw outOfReach();
}

/** What can't be looked at is another matter, for which `secureStore` has the words. */
function isMissing(kernel: Kernel, path: Bytes): boolean {
  try {
    return kernel.statOrNull(AT_FDCWD, path) === null;
  } catch {
    return false;
  }
}

function outOfReach(): AgentfwError {
  return new AgentfwError('AFW_NESTED', 'The store can’t be reached from inside a sandbox.', { hint: 'Run it from a terminal outside the sandbox' });
}

function foreign(path: Bytes, why: string): AgentfwError {
  return new AgentfwError('AFW_STORE_PLACE', `Refusing to use ${toText(path)} as the store: ${why}.`, {
    hint: 'Set AGENTFW_STATE_DIR to a directory of yours',
  });
}

/** The store lies where renames know no flags (NFS, many of FUSE), which no layer can be on. */
export function flagless(dir: Bytes): AgentfwError {
  return new AgentfwError('AFW_STORE_PLACE', `The store ${toText(dir)} lies on a filesystem that can't hold layers.`, {
    status: 125,
    hint: 'Set AGENTFW_STATE_DIR to a directory on a disk filesystem, or on a tmpfs such as /dev/shm',
  });
}

function otherFormat(path: Bytes, format: string): AgentfwError {
  const named = format.split('\n')[0]?.slice(0, 60) ?? '';
  return new AgentfwError(
    'AFW_STORE_VERSION',
    `Can't use the store ${toText(path)}: its format is "${named}", and this version of agentfw reads "${FORMAT.trim()}".`,
    { hint: 'Use the version of agentfw that made it, or set AGENTFW_STATE_DIR to another directory' },
  );
}

/** Without empty and `.` components. */
function normal(path: Bytes): Bytes {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}` as Bytes;
}
