import { constants } from 'node:fs';
import { isWithin, toText, type Bytes } from '../../bytes.js';
import { AgentfwError, errnoOf } from '../../errors.js';
import { piecesOf } from '../../kernel/files.js';
import type { Stat } from '../../kernel/kernel.js';
import { requireVaults } from '../apply/bases.js';
import { closeDirs, openDirs, spotOf, statPlace, type OpenDirs } from '../apply/open-dirs.js';
import { readJournal, type Journal } from '../journal/journal.js';
import { absolute, below, numbered, relativeTo, type Place } from '../plan/step.js';
import { fileTypeOf } from '../scan/filetype.js';
import type { StoreContext } from '../store-context.js';
import { commitDir } from './vault.js';

/** `host`: what stood at the path before the commit; `sandbox`: the agent's own version, where a merge or a choice took it out of the sandbox */
export type Side = 'host' | 'sandbox';

/**
 * One side's version of a path that a commit keeps, piece by piece; of a
 * symlink, its target. The host's is what `undo` would put back.
 *
 * @param ids of the undo that landed the commit again, if there is one, and of the
 * commit itself: where the undo in between was refused, that one still has it
 */
export function* keptContent(ctx: StoreContext, ids: readonly string[], path: Bytes, side: Side = 'host'): Generator<Buffer> {
  for (const id of ids) {
    const journal = readJournal(ctx.kernel, commitDir(ctx.stateDir, id));
    if (journal === null) continue;
    requireVaults(ctx.kernel, journal.header);
    const dirs = openDirs(ctx.kernel, journal.header.roots);
    try {
      const found = keptAt(dirs, journal, { path, side });
      if (found !== null) return yield* contentAt(dirs, found, path);
    } finally {
      closeDirs(dirs);
    }
  }
  const why = side === 'host' ? 'it replaced no file there' : 'what the agent made of it landed as it was';
  throw new AgentfwError('AFW_NO_FILE', `That commit keeps nothing for ${toText(path)}: ${why}, or an undo has put it back, or it was pruned.`, {
    hint: 'List the commits: agentfw log --commits',
  });
}

/** By itself, or in a directory that was replaced or taken away as a whole. */
function keptAt(dirs: OpenDirs, { steps, refused }: Journal, { path, side }: { readonly path: Bytes; readonly side: Side }): { place: Place; stat: Stat } | null {
  for (const [index, step] of numbered(steps)) {
    const keep = side === 'host' ? (step.act === 'drop' ? null : step.keep) : (step.spent?.keep ?? null);
    if (refused.has(index) || keep === null) continue;
    const top = absolute(dirs.roots, step.host);
    if (!isWithin(path, top)) continue;
    const place = path === top ? keep : below(keep, relativeTo(top, path));
    const stat = statPlace(dirs, place);
    if (stat !== null) return { place, stat };
  }
  return null;
}

function* contentAt(dirs: OpenDirs, { place, stat }: { place: Place; stat: Stat }, path: Bytes): Generator<Buffer> {
  const { at, name } = spotOf(dirs, place);
  const type = fileTypeOf(stat);
  if (type === 'symlink') return yield Buffer.from(dirs.kernel.readlink(at, name), 'latin1');
  if (type !== 'file') throw new AgentfwError('AFW_NO_FILE', `${toText(path)} was no file before that commit.`, { hint: 'Name a file in it' });
  let fd: number;
  try {
    fd = dirs.kernel.open(at, name, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
    throw new AgentfwError('AFW_NO_FILE', `${toText(path)} can't be read: its mode keeps you out.`, { hint: 'agentfw undo puts it back as it was' });
  }
  try {
    yield* piecesOf(fd);
  } finally {
    dirs.kernel.close(fd);
  }
}
