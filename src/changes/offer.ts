import type { Bytes } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import type { JudgedChange } from './change.js';
import type { Merges } from './conflict/compose.js';
import { commitContextOf } from './context.js';
import { commitFacts, planDigest, planPacked, renamePaths, selectChanges, type Composed, type Plan } from './engine.js';
import type { Gathered } from './gather.js';
import { checkoutNeeds } from './git/checkout.js';
import { withPairs } from './plan/pairs.js';
import type { Paths, Take } from './plan/refusal.js';
import { isOnlyMark } from './scan/mark.js';
import { unpacked } from './scan/unpack.js';
import { isHosts, takeBoth } from './plan/drops.js';
import { takesIn } from './takes.js';
import { namedBy, selectionOf, unmatchedIn } from './words.js';

/** What a user asks to land. */
export interface Wish {
  /** absolute paths and patterns; empty: everything */
  readonly words: readonly Bytes[];
  /** chosen hunks, by file; with them, empty `words` mean nothing else */
  readonly hunks: ReadonlyMap<Bytes, Composed>;
  readonly merges: Merges;
  /** absolute paths, what is below them, and patterns, that may land although they take effect by themselves */
  readonly accept: readonly Bytes[];
  /** absolute paths, what is below them, and patterns: which side counts there */
  readonly take: ReadonlyMap<Bytes, Take>;
  readonly keepSpecial: boolean;
  readonly note: string | null;
  /** the sandbox runs: only copies leave it */
  readonly live: boolean;
}

/** Everything, as it is. */
export const WHOLE: Wish = {
  ...{ words: [], hunks: new Map(), merges: { composed: new Map(), notes: [] }, accept: [] },
  ...{ take: new Map(), keepSpecial: false, note: null, live: false },
};

/** What would land, and what is held back. */
export interface Offer {
  readonly plan: Plan;
  /** `sha256:…`, what `--expect` names */
  readonly digest: string;
  /** what is asked for, without mere marks (`isOnlyMark`) */
  readonly selected: readonly JudgedChange[];
  /** of these, what leaves the sandbox without landing (`--take host`) */
  readonly dropped: readonly JudgedChange[];
  /** came along with what was named: new parents, the other halves of renames */
  readonly added: readonly Bytes[];
  /** words that match no change */
  readonly unmatched: readonly Bytes[];
  /** of class `control` and not accepted: not in the plan */
  readonly withheld: readonly JudgedChange[];
  readonly merges: Merges['notes'];
}

interface Asked {
  readonly gathered: Gathered;
  readonly wish: Wish;
}

type Landing = Pick<Gathered, 'single' | 'pairs' | 'landing'>;

/** Selects, holds back what needs a decision, and plans. Writes nothing. */
export function offerOf(store: Store, record: SandboxRecord, { gathered, wish }: Asked): Offer {
  const { single, pairs, landing } = gathered;
  // What is packed may belong to what stays: then each is looked at by itself.
  return offered(store, record, { single, pairs, landing, wish }) ?? (offered(store, record, { single: unpacked(single), pairs, landing, wish }) as Offer);
}

/** Null where something packed has to be told by itself. */
function offered(store: Store, record: SandboxRecord, { wish, ...gathered }: Landing & { readonly wish: Wish }): Offer | null {
  const { take, unmatched: untaken } = takesIn(gathered.single, wish.take);
  // A side that was chosen is meant as it is.
  const composed = new Map([...wish.merges.composed].filter(([path]) => !take.has(path)));
  const single = landingIn(gathered, composed, wish.hunks);
  const renames = withPairs(renamePaths(gathered.pairs), single, store.kernel);
  const named = namedIn(single, wish, renames);
  const controls = single.filter(({ path, class: risk }) => risk === 'control' && named.has(path));
  const accepted = namedBy(controls, wish.accept);
  // What lands anyhow may be named, too.
  const unaccepted = unmatchedIn(single, accepted.unmatched);
  const withheld = controls.filter(({ path }) => !accepted.taken.has(path));
  const held = new Set(withheld.map(({ path }) => path));
  const chosen: Paths = { has: (path) => named.has(path) && !held.has(path) };
  const plan = planPacked({
    ...{ changes: single, selected: chosen, renames, take },
    needs: checkoutNeeds(single, { kernel: store.kernel, layers: record.layers }),
    composed: new Map([...composed, ...wish.hunks].filter(([path]) => chosen.has(path))),
    facts: commitFacts(commitContextOf(store, record)),
    options: { live: wish.live, keepSpecial: wish.keepSpecial, fifos: wish.keepSpecial, note: wish.note },
  });
  if (plan === null) return null;
  const selected = named.all && held.size === 0 && !single.some(isOnlyMark) ? single : single.filter((change) => chosen.has(change.path) && !isOnlyMark(change));
  const { added } = named;
  const sides = takeBoth(take, renames);
  return {
    ...{ plan, digest: planDigest(plan), selected, dropped: droppedIn(selected, plan, sides), added, withheld },
    unmatched: [...named.unmatched, ...untaken, ...unaccepted],
    // The others were merged as well, to be judged, and do not land.
    merges: wish.merges.notes.filter(({ path }) => chosen.has(path) && !sides.has(path)),
  };
}

/** A merge holds both sides' changes: there is no conflict any more. */
function landingIn({ single, landing }: Landing, merges: Wish['hunks'], hunks: Wish['hunks']): readonly JudgedChange[] {
  if (merges.size + hunks.size === 0) return single;
  return single.map((change) => {
    const composed = hunks.get(change.path) ?? merges.get(change.path);
    if (composed === undefined) return change;
    const landed = landing(change, composed.content);
    return merges.has(change.path) ? { ...landed, conflict: null } : landed;
  });
}

function droppedIn(selected: readonly JudgedChange[], { refused }: Plan, take: Wish['take']): readonly JudgedChange[] {
  if (take.size === 0) return [];
  const stay = new Set(refused.map(({ path }) => path));
  return selected.filter(({ path }) => !stay.has(path) && isHosts(path, take));
}

interface Named extends Paths, Pick<Offer, 'added' | 'unmatched'> {
  readonly all: boolean;
}

/** Nothing named is everything, for which no list of a million paths is needed; with chosen hunks it is these. */
function namedIn(single: readonly JudgedChange[], { words, hunks }: Wish, renames: ReadonlyMap<Bytes, Bytes>): Named {
  if (words.length === 0 && hunks.size === 0) return { has: () => true, all: true, added: [], unmatched: [] };
  const { paths, added, unmatched } = words.length === 0 ? NOTHING : selectChanges(single, selectionOf(words, single), renames);
  return { has: (path) => paths.has(path) || hunks.has(path), all: false, added, unmatched };
}

const NOTHING = { paths: new Set<Bytes>(), added: [], unmatched: [] };

/** The digest of landing everything, which `diff --json` shows for `commit --expect`. */
export function wholeDigest(store: Store, record: SandboxRecord, gathered: Gathered): string {
  return offerOf(store, record, { gathered, wish: { ...WHOLE, accept: ['/' as Bytes] } }).digest;
}
