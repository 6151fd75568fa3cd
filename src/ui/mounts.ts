import { parentOf } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { escapeForTerminal, showBytes } from './escape.js';
import { table } from './table.js';

/** Of many hidden files of one rule so many are named. */
export const MOST_HIDES = 12;

/**
 * The paths of a view that aren't copy-on-write, with the reason. What a listed
 * directory says of all below it isn't said again, unless a layer lies between;
 * and of many hidden files of one rule a few stand for all.
 */
export function mountText({ mounts, layers }: Pick<SandboxRecord, 'mounts' | 'layers'>): string {
  const all = new Set(mounts.map(({ path, decision }) => `${decision} ${path}`));
  const bases = new Set(layers.map(({ base }) => base));
  const isSaid = ({ path, decision }: SandboxRecord['mounts'][number]): boolean => {
    for (let at = path; at !== '/' && !bases.has(at); ) if (all.has(`${decision} ${(at = parentOf(at))}`)) return true;
    return false;
  };
  const told = mounts.filter((mount) => mount.decision !== 'skip' && !isSaid(mount));
  if (told.length === 0) return '';
  const seen = new Map<string, number>();
  const rows = told.flatMap(({ path, decision, why }) => {
    const nth = (seen.get(`${decision} ${why}`) ?? 0) + 1;
    seen.set(`${decision} ${why}`, nth);
    return decision === 'hide' && nth > MOST_HIDES ? [] : [[`  ${decision}`, showBytes(path), escapeForTerminal(why)]];
  });
  const more = [...seen].flatMap(([key, count]) => (key.startsWith('hide ') && count > MOST_HIDES ? [['  hide', `and ${count - MOST_HIDES} more`, escapeForTerminal(key.slice('hide '.length))]] : []));
  return `\nNot copy-on-write in the view:\n${table([...rows, ...more])}`;
}
