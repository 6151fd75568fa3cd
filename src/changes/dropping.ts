import { isWithin, type Bytes } from '../bytes.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import type { JudgedChange } from './change.js';
import { commitContextOf } from './context.js';
import { withDatabasePairs } from './database/database.js';
import { commitFacts, planCommit, renamePaths, selectChanges, type Plan } from './engine.js';
import type { Gathered } from './gather.js';
import { checkoutNeeds } from './git/checkout.js';
import { gitPartOf } from './git/dir.js';
import { bareRepositories, withoutNeeded } from './git/needs.js';
import { selectionOf } from './words.js';

/** What leaves a sandbox without landing. */
export interface Dropping {
  readonly plan: Plan;
  /** named by nobody: they mean nothing, or do harm, without what was */
  readonly added: readonly JudgedChange[];
}

/** For `discard PATH`: the agent's versions go, the host stays as it is; an undo has them back. */
export function dropPlan(store: Store, record: SandboxRecord, { gathered, words }: { readonly gathered: Gathered; readonly words: readonly Bytes[] }): Dropping {
  const { single } = gathered;
  const renames = withDatabasePairs(renamePaths(gathered.pairs), single);
  const selected = selectChanges(single, selectionOf(words, single), renames, 'alone');
  const checkedOut = checkedOutWithout(checkoutNeeds(single, { kernel: store.kernel, layers: record.layers }), selected.paths);
  const found = withWhole(single, new Set([...selected.added, ...checkedOut, ...namesWithout(single, selected.paths)]));
  const unnamed = new Set([...found].filter((path) => !selected.paths.has(path) || selected.added.includes(path)));
  const paths = new Set([...selected.paths, ...unnamed]);
  const plan = planCommit({
    // Nothing of the host is written, so no conflict stands in the way.
    changes: single.map((change) => ({ ...change, conflict: null })),
    ...{ selected: paths, renames, take: new Map([...paths].map((path) => [path, 'host'])) },
    facts: commitFacts(commitContextOf(store, record)),
    options: { live: false, keepSpecial: true, fifos: true, note: null },
  });
  return { plan, added: single.filter(({ path }) => unnamed.has(path)) };
}

/** What nobody named and the agent deleted with its directory comes back with all of that: one deletion can't be taken out of it. */
function withWhole(changes: readonly JudgedChange[], unnamed: ReadonlySet<Bytes>): ReadonlySet<Bytes> {
  if (unnamed.size === 0) return unnamed;
  const names = [...unnamed];
  const held = (dir: Bytes): boolean => names.some((path) => isWithin(path, dir));
  const tops = changes.filter(({ kind, type, implied, path }) => kind === 'delete' && type === 'dir' && !implied && held(path));
  return new Set([...unnamed, ...changes.filter(({ path }) => tops.some((top) => isWithin(path, top.path))).map(({ path }) => path)]);
}

/**
 * A `HEAD` goes with the branch that it names (else one without a commit were
 * checked out, in the sandbox and once it lands), and with the git directory of
 * a work tree what leads to it.
 */
function checkedOutWithout(needs: ReadonlyMap<Bytes, readonly Bytes[]>, dropped: ReadonlySet<Bytes>): readonly Bytes[] {
  const gone = new Set(dropped);
  for (let before = -1; before !== gone.size; ) {
    before = gone.size;
    for (const [path, needed] of needs) if (needed.some((one) => gone.has(one))) gone.add(path);
  }
  return [...gone].filter((path) => !dropped.has(path));
}

/**
 * Without its new objects all that names objects in a repository is broken, for
 * the agent and, once it lands, for the host; and what the agent packed anew is
 * nowhere else when the pack goes.
 */
function namesWithout(changes: readonly JudgedChange[], dropped: ReadonlySet<Bytes>): readonly Bytes[] {
  const bare = bareRepositories(changes);
  const isName = ({ path }: JudgedChange): boolean => gitPartOf(path, bare)?.part === 'refs';
  const needing = withoutNeeded(changes, (change) => !dropped.has(change.path) || isName(change));
  const dirs = needing.flatMap(({ needs }) => /^(.*)\/objects\//s.exec(needs.path)?.[1] ?? []);
  const logs = new Set(dirs.map((dir) => `${dir}/logs` as Bytes));
  const entries = logs.size === 0 ? [] : changes.filter(({ path }) => [...logs].some((top) => isWithin(path, top)));
  return [...needing.map(({ change }) => change), ...entries].map(({ path }) => path).filter((path) => !dropped.has(path));
}
