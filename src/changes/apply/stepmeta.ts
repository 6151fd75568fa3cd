import type { Xattr } from '../../kernel/kernel.js';
import type { Draft } from '../plan/draft.js';
import { landingMode, metaOf, Moved } from './duplicate.js';
import type { Preparing } from './preparing.js';
import { spotOf } from './open-dirs.js';
import { identOf, isIdent, type Meta, type Step } from '../plan/step.js';

const isAcl = ({ name }: Xattr): boolean => name.startsWith('system.posix_acl_');

/** Metadata before and after, of which only that changes which the agent changed. */
export function metaFor(preparing: Preparing, draft: Draft): Pick<Step, 'meta' | 'fresh'> {
  if (draft.metas !== undefined) return { meta: draft.metas, fresh: null };
  const { dirs, keepSpecial } = preparing;
  const { kernel } = dirs;
  if (draft.source === null || draft.fresh === null || draft.old === null) throw new Moved('there is nothing to compare');
  const host = spotOf(dirs, draft.host);
  if (!isIdent(kernel.statOrNull(host.at, host.name), identOf(draft.old))) throw new Moved(`${draft.path} changed`);
  const old = metaOf(kernel, host, true);
  const source = spotOf(dirs, draft.source);
  if (!isIdent(kernel.statOrNull(source.at, source.name), identOf(draft.fresh))) throw new Moved(`${draft.source.path} changed`);
  const agent = metaOf(kernel, source, keepSpecial);
  return { meta: { old, fresh: combined({ draft, old, agent, keepSpecial }) }, fresh: null };
}

interface Sides {
  readonly draft: Draft;
  readonly old: Meta;
  readonly agent: Meta;
  readonly keepSpecial: boolean;
}

function combined({ draft, old, agent, keepSpecial }: Sides): Meta {
  const changed = new Set(draft.meta);
  const plain = (changed.has('xattr') ? agent : old).xattrs.filter((xattr) => !isAcl(xattr));
  const acls = (changed.has('acl') ? agent : old).xattrs.filter(isAcl);
  const owner = changed.has('owner') ? agent : old;
  return {
    mode: changed.has('mode') ? (agent.mode & ~0o7777) | landingMode(agent, keepSpecial) : old.mode,
    uid: owner.uid,
    gid: owner.gid,
    xattrs: [...plain, ...acls].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
