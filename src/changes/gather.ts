import { parentOf, type Bytes } from '../bytes.js';
import { AT_FDCWD, type NameFilter } from '../kernel/kernel.js';
import { growSlowly, optimiseLate } from '../kernel/optimise.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { bareRepositories, goneWorktrees } from './classify/bare-repository.js';
import { configHomeOf, namedByGit } from './classify/git-names.js';
import type { Change, ChangeKind, JudgedChange, Verdict } from './change.js';
import type { Glance } from './ended.js';
import type { CompiledPolicy } from '../policy/compiled.js';
import { getReady, judgeChange } from '../policy/judge.js';
import { readPolicyOf } from '../sandbox/policy-file.js';
import { classify, takeClass, withClass, withClassOf, withStrictestClass, type ClassifyInput } from './classify.js';
import { isClockBehind, provenBefore } from './capture/clock.js';
import { judgeConflicts, knownOf, sandboxDirOf, type Known } from './conflict.js';
import { seenOf } from './conflict/seen.js';
import { openContents, type ContentReader } from './content.js';
import { commitContextOf } from './context.js';
import { weightOf, type Crowd } from './scan/crowd.js';
import { membersOf } from './scan/crowding.js';
import { throughLink } from './scan/hostlink.js';
import { isOnlyMark } from './scan/mark.js';
import { blindnessOf, hiddenConflict, withoutHidden, type Blindness } from './classify/hidden.js';
import type { CommitContext } from './store-context.js';
import { withRepresentatives } from './scan/representatives.js';
import { orderChanges } from './scan/order.js';
import { spokenNames } from './scan/ordinary.js';
import { unpackedButNew } from './scan/unpack.js';
import { workspaceOf } from './classify/workspace.js';
import { detectRenames, type Renames } from './scan/rename.js';
import { scanPieces, type ScanInput, type ScanPiece } from './scan.js';
import { stateFilesOf, type StateFile } from './classify/statefiles.js';
import { endingOf, ruleChanges, withStateClass, type Ruled } from './classify/verdicts.js';

/** Number of changes of each kind. */
export type KindCounts = Readonly<Record<ChangeKind, number>>;

/** All changes of a sandbox, judged, in two forms. */
export interface Gathered {
  /** one for each object of the host that would change, in the order of the scan */
  readonly single: readonly JudgedChange[];
  /** renames and what each stands for in `single` */
  readonly pairs: ReadonlyMap<JudgedChange, readonly JudgedChange[]>;
  /** `single` with renames told as such and without mere marks (`isOnlyMark`), judged by the policy: what people see, made when it is asked for */
  readonly shown: readonly JudgedChange[];
  /** `pairs` for the renames of `shown` */
  readonly parts: ReadonlyMap<JudgedChange, readonly JudgedChange[]>;
  readonly contents: ContentReader;
  /** a change of `single` of which something else lands than the agent's version, with the class of that if it is stricter */
  readonly landing: (change: JudgedChange, content: Buffer) => JudgedChange;
  /** state files of the agent, merged with the host's */
  readonly states: ReadonlyMap<Bytes, StateFile>;
  /** null for a sandbox without a policy */
  readonly ruled: Ruled | null;
}

/** How closely changes are looked at; by default all is told of each. */
export interface GatherOptions {
  readonly look?: Look;
  /** of the classes only `control` is asked for: no file is opened to tell whether it is a program */
  readonly controlOnly?: boolean;
  /** `--on-exit keep` */
  readonly keep?: boolean;
  /** changes that all is alike for are told by one of them, see `Change.crowd`: `shown` for a table of all, `landed` for a commit of all, where only new files in new directories stay so */
  readonly crowds?: 'shown' | 'landed' | undefined;
}

/** How far a scan looks into files, see `WalkOptions`. */
export type Look = NonNullable<ScanInput['look']>;

/** All changes of a sandbox against the host as it is now, in the order of the layers. */
export function changesOf(store: Store, record: SandboxRecord, look: Look = 'no'): Change[] {
  return allOf(scanOf(store, record, blindnessOf(record), { look })).changes;
}

/** What is asked of changes, of one or of all in a directory whose names are none of `names`; null where it depends on the name. */
export interface Question {
  readonly names: NameFilter;
  readonly of: (change: Change) => boolean;
  readonly within: (dir: Bytes) => boolean | null;
}

/** Whether it holds for any that `changesOf` tells. */
export function someChange(store: Store, record: SandboxRecord, { names, of, within }: Question): boolean {
  for (const { changes, crowds } of scanOf(store, record, blindnessOf(record), { look: 'no', names, crowds: { from: 'ordinary' } })) {
    if (changes.some(of) || crowds.some((crowd) => within(crowd.dir) ?? membersOf(crowd).some(of))) return true;
  }
  return false;
}

/** From here on code may become hot. */
const SOME = 200;

/** The scan's own pieces, without what is hidden from the sandbox. */
export function* scanOf({ kernel, context }: Store, record: SandboxRecord, blindness: Blindness, how: Pick<ScanInput, 'look' | 'names' | 'crowds'>): Generator<ScanPiece> {
  const pieces = scanPieces({ kernel, layers: record.layers, mode: record.mode, uid: context.uid, ...how });
  let seen = 0;
  for (const { changes, crowds } of pieces) {
    const before = seen;
    seen = crowds.reduce((sum, { at }) => sum + at.length, seen + changes.length);
    if (before < SOME && seen >= SOME) optimiseLate();
    yield { changes: withoutHidden(changes, blindness), crowds };
  }
}

/** Scans, classifies, finds conflicts and renames, and orders. Close `contents` when done. */
export function gather(store: Store, record: SandboxRecord, { controlOnly = false, look = controlOnly ? 'no' : 'head', keep = false, crowds }: GatherOptions = {}): Gathered {
  const blindness = blindnessOf(record);
  const policy = readPolicyOf(store, record.tag)?.policy ?? null;
  const ctx = commitContextOf(store, record);
  const ready: { known?: Known } = {};
  // The threads of the walk go on meanwhile. What a running sandbox captures has to be read after the changes.
  const meanwhile = (): void => {
    if (record.state !== 'running') ready.known = knownOf(ctx);
    if (policy !== null) getReady(policy);
  };
  const scanned = allOf(scanOf(store, record, blindness, { look, names: spokenNames(policy), ...crowdsOf(ctx, crowds) }), meanwhile);
  const contents = openContents(store.kernel, record.layers);
  const full = classifyInputOf(store, record, { policy, contents, ...scanned });
  const input = controlOnly ? { ...full, contents: { ...contents, head: () => null } } : full;
  const known = ready.known ?? knownOf(ctx);
  const { changes, limits } = withRepresentatives(scanned.changes, scanned.crowds, { input, policy, blindness, known });
  const judged = judgeConflicts(ctx, classified(changes, { input, full, policy }), known).map((change) => withHidden(change, blindness));
  const states: ReadonlyMap<Bytes, StateFile> = policy === null ? new Map() : stateFilesOf({ store, record, policy, contents }, judged);
  const single = states.size === 0 ? judged : judged.map((change) => withStateClass(change, states));
  const renames = detectRenames(single, { digestOf: contents.digest, seenOf: seenOf(store.kernel, sandboxDirOf(ctx), known.bases), join: joined, limits });
  let made: Shown | null = null;
  const show = (): Shown => (made ??= shownOf(renames, (shown) => (policy === null ? null : ruleChanges(policy, { shown, states, ending: endingOf(record, keep) }))));
  return {
    ...{ single: crowds === 'landed' ? unpackedButNew(single) : single, pairs: renames.parts, contents, states },
    landing: (change, content) => withClassOf(content, change, full),
    get shown() { return show().shown; },
    get parts() { return show().parts; },
    get ruled() { return show().ruled; },
  };
}

/** What a clock that is behind says of the host proves nothing. */
function crowdsOf(ctx: CommitContext, crowds: GatherOptions['crowds']): Pick<ScanInput, 'crowds'> {
  if (crowds === undefined || (crowds === 'landed' && isClockBehind(ctx))) return {};
  const before = provenBefore(ctx);
  return { crowds: crowds === 'shown' ? { from: 'harmless', before } : { from: 'ordinary', before, land: true } };
}

const MANY = 50_000;

/** All pieces as one. */
export function allOf(scanned: Iterable<ScanPiece>, afterFirst: () => void = () => undefined): { readonly changes: Change[]; readonly crowds: readonly Crowd[] } {
  const all: Change[] = [];
  const allCrowds: Crowd[] = [];
  let isFirst = true;
  for (const { changes, crowds } of scanned) {
    if (isFirst) afterFirst();
    isFirst = false;
    const before = all.length;
    for (const change of changes) all.push(change);
    for (const crowd of crowds) allCrowds.push(crowd);
    if (before < MANY && all.length >= MANY) growSlowly();
  }
  return { changes: all, crowds: allCrowds };
}

interface Classifying {
  readonly input: ClassifyInput;
  /** the same with all that there is to see */
  readonly full: ClassifyInput;
  readonly policy: CompiledPolicy | null;
}

/** Each takes the place of what it was made from: there may be a million, and nobody needs both. */
function classified(changes: Change[], by: Classifying): readonly JudgedChange[] {
  for (const [index, change] of changes.entries()) changes[index] = takeClass(withSafeLink(change, by), by.input);
  return changes as JudgedChange[];
}

type Shown = Pick<Gathered, 'shown' | 'parts' | 'ruled'>;

/** A commit of everything asks nobody and shows nothing: it needs no order and no verdicts. */
function shownOf(renames: Renames<JudgedChange>, rule: (shown: readonly JudgedChange[]) => Ruled | null): Shown {
  const shown = orderChanges(renames.changes);
  const ruled = rule(shown);
  const all = ruled?.shown ?? shown;
  const shownOnly = all.some(isOnlyMark) ? all.filter((change) => !isOnlyMark(change)) : all;
  return { shown: shownOnly, parts: partsOf(renames.parts, shown, ruled), ruled };
}

interface Seen {
  readonly policy: CompiledPolicy | null;
  readonly contents: ContentReader;
  readonly changes: readonly Change[];
  readonly crowds: readonly Crowd[];
}

function classifyInputOf(store: Store, record: SandboxRecord, { policy, contents, changes, crowds }: Seen): ClassifyInput {
  const bare = bareRepositories(changes, (path) => store.kernel.statOrNull(AT_FDCWD, path) !== null);
  const place = workspaceOf(store, record, policy);
  const configHome = configHomeOf(place.home, store.context.env['XDG_CONFIG_HOME']);
  const made = new Set(changes.flatMap(({ type, kind, path }) => (type === 'dir' && (kind === 'add' || kind === 'type') ? [path] : [])));
  const named = namedByGit({ ...place, configHome, system: '/etc/gitconfig' as Bytes, dirs: dirsOf(changes, crowds), isNew: (dir) => made.has(dir) });
  return { ...place, contents, bare, gone: goneWorktrees(changes), named };
}

function* dirsOf(changes: readonly Change[], crowds: readonly Crowd[]): Generator<Bytes> {
  let last = '' as Bytes;
  for (const { ordinaryIn, path } of changes) {
    // They come directory by directory.
    const dir = ordinaryIn ?? parentOf(path);
    if (dir !== last) yield dir;
    last = dir;
  }
  for (const { dir } of crowds) yield dir;
}

const STRICTNESS: readonly Verdict[] = ['commit', 'escalate', 'discard'];

/**
 * Who writes one name of a file writes all of them: a name lands as a link only
 * where a change of the other one is as ordinary, and judged no stricter.
 */
function withSafeLink(change: Change, { full, policy }: Classifying): Change {
  if (change.link === undefined) return change;
  const [own, other] = [withClass(change, full), withClass(throughLink(change.link, change), full)];
  const strictness = (one: JudgedChange): number => (policy === null ? 0 : STRICTNESS.indexOf(judgeChange(policy, one).verdict));
  const isSafe = other.class === 'normal' || (other.class === own.class && other.reason === own.reason);
  return isSafe && strictness(other) <= strictness(own) ? change : { ...change, link: undefined };
}

/** Most hide nothing, and need no copy to say so. */
function withHidden(change: JudgedChange, blindness: Blindness): JudgedChange {
  const conflict = hiddenConflict(change, blindness);
  return conflict === null ? change : { ...change, conflict };
}

/** Judging makes other objects of the same changes, in the same order. */
function partsOf(parts: Gathered['parts'], before: readonly JudgedChange[], ruled: Ruled | null): Gathered['parts'] {
  if (ruled === null || parts.size === 0) return parts;
  return new Map(before.flatMap((change, at) => {
    const members = parts.get(change);
    return members === undefined ? [] : [[ruled.shown[at] as JudgedChange, members] as const];
  }));
}

/** A rename says the worst of its parts. */
function joined(rename: JudgedChange, parts: readonly JudgedChange[]): JudgedChange {
  const conflict = parts.find((part) => part.conflict !== null)?.conflict ?? null;
  return { ...withStrictestClass(rename, parts), conflict };
}

/** Looks at no more than `most` changes: for the lines after a run, which must not make it slower. */
export function glance(store: Store, record: SandboxRecord, most: number): Glance {
  const policy = readPolicyOf(store, record.tag)?.policy ?? null;
  const changes: Change[] = [];
  let more = false;
  for (const { changes: piece } of scanOf(store, record, blindnessOf(record), { look: 'no' })) {
    more = changes.length + piece.length > most;
    changes.push(...piece.slice(0, most - changes.length));
    if (more) break;
  }
  const contents = openContents(store.kernel, record.layers);
  const input = classifyInputOf(store, record, { policy, contents, changes, crowds: [] });
  const classes = { normal: 0, later: 0, control: 0 };
  for (const change of changes) classes[classify(change, input).class] += 1;
  contents.close();
  return { kinds: countKinds(changes.filter((change) => !isOnlyMark(change))), classes, more };
}

/** A crowd counts as all its members. */
export function countKinds(changes: Iterable<Change>): KindCounts {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0, rename: 0 };
  for (const change of changes) counts[change.kind] += weightOf(change);
  return counts;
}
