import type { Bytes } from '../../bytes.js';
import { besideOf, databaseOf, isInUse, mayBeDatabase } from './database.js';
import { redraft, type Draft } from '../plan/draft.js';
import { refused as refusedFor } from '../plan/refusal.js';
import type { Refused } from '../result.js';
import { statPlace } from '../apply/open-dirs.js';
import type { Place } from '../plan/step.js';
import type { Looking, Undone } from '../git/undo.js';

const IN_USE = 'it is a database that was used since';

/** I20: a database goes back together with what is beside it, and not from under a log that the host wrote since. */
export function keepDatabases({ drafts, refused }: Undone, looking: Pick<Looking, 'dirs' | 'isNew'>): Undone {
  const staying = new Set(refused.map(({ path }) => mainOf(path)));
  const paths = besideOrMain(drafts);
  for (const draft of drafts) if (isUsed(draft, paths, looking)) staying.add(mainOf(draft.path));
  const groups = groupsOf(drafts, paths);
  const left = drafts.filter(({ path }) => !staying.has(mainOf(path)));
  const stay = drafts.filter(({ path }) => staying.has(mainOf(path)));
  return { drafts: groups.size === 0 ? left : left.map((draft) => grouped(draft, groups)), refused: stay.length === 0 ? refused : [...refused, ...stay.map(stays)] };
}

/** The paths that are asked about: what lies beside a database, and what something lies beside. Seldom any, of what may be a million. */
function besideOrMain(drafts: readonly Draft[]): ReadonlySet<Bytes> {
  const mains = new Set<Bytes>();
  for (const { path } of drafts) {
    const main = databaseOf(path);
    if (main !== null) mains.add(main);
  }
  const found = new Set<Bytes>();
  if (mains.size === 0) return found;
  for (const { path } of drafts) if (mains.has(path) || databaseOf(path) !== null) found.add(path);
  return found;
}

function stays(draft: Draft): Refused {
  return refusedFor(draft, 'conflict', { text: IN_USE, conflict: 'changed' });
}

function mainOf(path: Bytes): Bytes {
  return databaseOf(path) ?? path;
}

function isUsed({ old, path, host }: Draft, paths: ReadonlySet<Bytes>, { dirs, isNew }: Pick<Looking, 'dirs' | 'isNew'>): boolean {
  if (!mayBeDatabase(old) || databaseOf(path) !== null) return false;
  return besideOf(path).some((beside) => {
    if (paths.has(beside)) return false;
    const place: Place = { root: host.root, path: `${host.path}${beside.slice(path.length)}` as Bytes };
    const stat = statPlace(dirs, place);
    return stat !== null && isInUse(stat) && isNew({ path: beside, place, stat });
  });
}

/** By database: behind the groups that there are. */
function groupsOf(drafts: readonly Draft[], paths: ReadonlySet<Bytes>): ReadonlyMap<Bytes, number> {
  let last = 0;
  for (const { group } of drafts) last = Math.max(last, group);
  const groups = new Map<Bytes, number>();
  for (const { path } of drafts) {
    const main = databaseOf(path);
    if (main !== null && paths.has(main) && !groups.has(main)) groups.set(main, last + groups.size + 1);
  }
  return groups;
}

function grouped(draft: Draft, groups: ReadonlyMap<Bytes, number>): Draft {
  const group = draft.group === 0 ? groups.get(mainOf(draft.path)) : undefined;
  return group === undefined ? draft : redraft(draft, { group });
}
