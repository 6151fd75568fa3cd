import { constants } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { joinBytes } from '../../bytes.js';
import type { Stat, WalkEntry } from '../../kernel/kernel.js';
import type { Change, HostLink, JudgedChange } from '../change.js';
import { copied, redraft, type Draft } from '../plan/draft.js';
import { identOf, type Ident, type Place } from '../plan/step.js';

const SET_ID = 0o6000;

/** How many names the host's file has, of which the change tells one: what lands is in all of them (I12). Null: no other, or it parts from them. */
export function namesOf({ kind, base, upper }: Change): number | null {
  if ((kind !== 'modify' && kind !== 'metadata') || base === null || upper === null) return null;
  return isFile(base) && isFile(upper) && base.nlink > 1 ? base.nlink : null;
}

/** Of a walk over one layer: the inodes that have several names there. */
export interface SharedInodes {
  /** the name that the host has too */
  readonly hosts: Map<bigint, HostLink>;
  /** changes that are told at the end, when it is known whether the host has another name of them */
  readonly held: Change[];
}

interface Met {
  readonly change: Change | null;
  readonly top: Bytes;
  /** the entry as a change that differs in nothing */
  readonly alike: () => Change;
}

/**
 * A link that the agent made to a file of the host: the file came up, and both
 * names are one inode of the layer. True for a change that has to wait.
 */
export function holdShared({ hosts, held }: SharedInodes, { upper, base, path }: WalkEntry, { change, top, alike }: Met): boolean {
  if (upper.nlink < 2 || !isFile(upper)) return false;
  const first = hosts.get(upper.ino);
  // Two files of the host that are alike, and one of them is a name of the other by now.
  if (change === null && first?.same === true && base !== null && isFile(base) && base.nlink === 1 && base.ino !== first.base.ino) {
    held.push(alike());
    return true;
  }
  if (base !== null && isFile(base) && change?.kind !== 'add' && hosts.get(upper.ino)?.same !== true) {
    if (change === null || !hosts.has(upper.ino)) hosts.set(upper.ino, { path: joinBytes(top, path), base, same: change === null });
  }
  if (change === null || change.basePath !== undefined) return false;
  held.push(change);
  return true;
}

/** What was held back until all names were met, less those that turned out to be the host's own, unchanged. */
export function* released(shared: SharedInodes): Generator<Change> {
  for (const held of shared.held) {
    const change = withLink(shared, held);
    if (change.link !== undefined || change.kind !== 'modify' || change.content || change.meta.length > 0) yield change;
  }
}

/** Once the walk is over. */
export function withLink({ hosts }: Pick<SharedInodes, 'hosts'>, change: Change): Change {
  const link = change.upper === null ? undefined : hosts.get(change.upper.ino);
  return link !== undefined && fits(change, link) ? { ...change, link } : change;
}

/** Two names that the host has both, and that changed: neither is a link to the other there. */
function fits({ kind, path, upper }: Change, { path: other, base, same }: HostLink): boolean {
  if (path === other || !(kind === 'add' || (same && (kind === 'modify' || kind === 'type')))) return false;
  // Of a file of somebody else, or of one that gives rights, nobody makes names for him.
  return upper !== null && upper.uid === base.uid && (base.mode & SET_ID) === 0;
}

/** The change of the other name that each further write through the link would be. */
export function throughLink({ path, base }: HostLink, change: Change): Change {
  // What the walk saw of it was beside no base, or another one.
  return { ...change, path, base, kind: 'modify', oldType: null, link: undefined, ordinaryIn: undefined, look: undefined };
}

/** A name lands with the conflict of the file that it is a name of. */
export function withFileConflicts<T extends Change & Pick<JudgedChange, 'conflict'>>(changes: readonly T[]): readonly T[] {
  if (!changes.some(({ link }) => link !== undefined)) return changes;
  const byPath = new Map(changes.map((change) => [change.path, change.conflict]));
  return changes.map((change) => {
    const conflict = change.link === undefined ? null : (byPath.get(change.link.path) ?? null);
    return conflict === null || change.conflict !== null ? change : { ...change, conflict };
  });
}

/**
 * Which drafts land as links, and with which identity: only where the host's
 * file will have the content that the agent's has. The others are copies.
 */
export function settleLinks(drafts: readonly Draft[]): readonly Draft[] {
  if (!drafts.some(({ link }) => link !== undefined)) return drafts;
  const files = new Map(drafts.map((draft) => [keyOf(draft.host), draft]));
  const written = new Set(drafts.flatMap(({ act, layer, old }) => (act === 'write' && old !== null ? [`${layer} ${old.ino}`] : [])));
  return drafts.map((draft) => {
    const { link } = draft;
    if (link === undefined) return draft;
    const file = files.get(keyOf(link.at));
    // Written through another of its names, it won't have what the agent's has.
    const ident = file === undefined && written.has(`${draft.layer} ${link.now.ino}`) ? null : landedIdent(draft, file);
    // It leaves the layer with the directory that it is in.
    if (link.inNew) return redraft(draft, { method: 'copy', link: { ...link, ident } });
    return redraft(ident === null ? draft : copied(draft), { link: ident === null ? undefined : { ...link, ident } });
  });
}

/** A place as the key of a map. */
export function keyOf({ root, path }: Place): string {
  return `${root} ${path}`;
}

/** Null: it can't be a link. */
function landedIdent({ link, fresh }: Draft, file: Draft | undefined): Ident | null {
  if (link === undefined || fresh === null) return null;
  if (file === undefined) return link.same ? link.now : null;
  if (file.act === 'meta') return link.now;
  return file.act === 'write' && file.composed === null ? { ...identOf(fresh), ino: link.now.ino } : null;
}

function isFile({ mode }: Stat): boolean {
  return (mode & constants.S_IFMT) === constants.S_IFREG;
}
