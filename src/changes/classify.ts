import { isWithin, nameOf, parentOf, toText, type Bytes } from '../bytes.js';
import type { Change, JudgedChange, RiskClass } from './change.js';
import type { ContentReader } from './content.js';
import { BLOCK, FLAG, GIT_CONFIG, GIT_DIRS, GIT_REFS, HARMLESS } from './classify/control-list.js';
import { foldPath, isPlain } from './classify/fold.js';
import { judgedAs } from './scan/told.js';
import { compileGate, compilePatterns, reachOf, type FoldedPath } from './classify/gate-match.js';
import { gitNames, gitNamesIn, type NamedByGit } from './classify/git-named.js';
import { gitConfigRisk } from './classify/gitconfig.js';
import { MANIFESTS } from './capture/manifest.js';
import { objectRisk } from './classify/object-risk.js';

/** What a class depends on beside the change itself. */
export interface ClassifyInput {
  /** the directory that the agent was started in, absolute */
  readonly workspace: Bytes;
  readonly home: Bytes;
  /** null where content may not be looked at: what depends on it is then taken for the worst */
  readonly contents: Pick<ContentReader, 'read' | 'head'> | null;
  /** outside the workspace, yet the agent's own business by its profile */
  readonly owned?: (path: Bytes) => boolean;
  /** directories that are laid out like bare git repositories, see `bareRepositories` */
  readonly bare?: ReadonlySet<Bytes>;
  /** git directories of work trees that go as a whole, see `goneWorktrees` */
  readonly gone?: ReadonlySet<Bytes>;
  /** what git on the host runs or reads by its configuration, see `namedByGit` */
  readonly named?: NamedByGit;
  /** the class that the policy gives it, if any: the stricter one holds */
  readonly ruled?: (change: Change) => { readonly class: RiskClass; readonly reason: string } | null;
}

/** `reason` in words, for people; null for `normal`. */
export interface Classification {
  readonly class: RiskClass;
  readonly reason: string | null;
}

const NORMAL: Classification = { class: 'normal', reason: null };
/** Configuration and manifests beyond this size are not parsed but taken for the worst. */
const MOST_TEXT = 4 * 1024 * 1024;
/** Some repositories have a million references. */
const MOST_REFS = 64 * 1024 * 1024;

const block = compileGate(BLOCK);
const flag = compileGate(FLAG);
const isHarmless = compilePatterns(HARMLESS);
const isGitConfig = compilePatterns(GIT_CONFIG);
const isGitRefs = compilePatterns(GIT_REFS);
const isGitDir = compilePatterns(GIT_DIRS);
const reachesGit = reachOf([...HARMLESS, ...GIT_CONFIG, ...GIT_REFS]);

/** Pure but for `contents`: what may run because of the change, and why. */
export function classify(change: Change, input: ClassifyInput): Classification {
  const own = classifyAlone(change, input);
  const ruled = own.class === 'control' ? null : (input.ruled?.(change) ?? null);
  return ruled !== null && (own.class === 'normal' || ruled.class === 'control') ? ruled : own;
}

function classifyAlone(change: Change, input: ClassifyInput): Classification {
  if (change.ordinaryIn !== undefined && change.type !== 'symlink' && isAllOrdinary(change.ordinaryIn, input)) {
    // Its name says nothing, so only the object itself does.
    const own = change.kind === 'delete' ? null : objectRisk(change, input.workspace, input.contents);
    return own === null ? NORMAL : { class: 'later', reason: own };
  }
  const folded = foldedIn(change.path, input.workspace);
  const control = outsideReason(change, input) ?? controlReason(change, folded, input);
  if (control !== null) return { class: 'control', reason: control };
  const later = change.kind === 'delete' ? null : laterReason(change, folded, input);
  return later === null ? NORMAL : { class: 'later', reason: later };
}

/** The change with its class; what policy decides is still open. */
export function withClass(change: Change, input: ClassifyInput): JudgedChange {
  const { path, kind, from, type, oldType, upper, base, at, basePath, opaque, copiedUp, plain, capable, origin, implied, target, link, meta, content, look, lines, crowd } = change;
  const { class: name, reason } = classify(change, input);
  // One literal and no spread, which takes ten times as long: there may be very many.
  return {
    path, kind, from, type, oldType, upper, base, at, basePath, opaque, copiedUp, plain, capable, origin, implied, target, link, meta, content, look, lines, crowd,
    class: name, reason, conflict: null, verdict: null, rule: null,
  };
}

/** As `withClass`, for a change that nobody else has. */
export function takeClass(change: Change, input: ClassifyInput): JudgedChange {
  const { class: risk, reason } = classify(change, input);
  return judgedAs(change, { class: risk, reason, conflict: null, verdict: null, rule: null });
}

/**
 * What lands of it in part, or merged, may do what the whole does not: a line counts by those around it. The
 * stricter class of both.
 */
export function withClassOf(content: Buffer, change: JudgedChange, input: ClassifyInput): JudgedChange {
  const part = (limit: number): Buffer | null => (content.length > limit ? null : content);
  const contents: ClassifyInput['contents'] = {
    read: (one, side, limit) => (side === 'upper' ? part(limit) : (input.contents?.read(one, side, limit) ?? null)),
    head: (one, side, length) => (side === 'upper' ? content.subarray(0, length) : (input.contents?.head(one, side, length) ?? null)),
  };
  const landing = withClass({ ...change, look: null }, { ...input, contents });
  return withStrictestClass(change, [change, landing]);
}

/** A rename stands for all its parts: it has the strictest class among them. */
export function withStrictestClass(rename: JudgedChange, parts: readonly JudgedChange[]): JudgedChange {
  const strictest = parts.find((part) => part.class === 'control') ?? parts.find((part) => part.class === 'later') ?? rename;
  return { ...rename, class: strictest.class, reason: strictest.reason };
}

/** What was found of the last directory: changes come directory by directory. */
let lastOrdinary: { readonly dir: Bytes; readonly input: ClassifyInput; readonly is: boolean } | null = null;

/** Names that no rule speaks of are all alike there. */
export function isAllOrdinary(dir: Bytes, input: ClassifyInput): boolean {
  if (lastOrdinary?.dir !== dir || lastOrdinary.input !== input) lastOrdinary = { dir, input, is: ordinary(dir, input) };
  return lastOrdinary.is;
}

function ordinary(dir: Bytes, { workspace, home, bare, named }: ClassifyInput): boolean {
  const inTree = workspace !== '/' && isWithin(dir, workspace) && !isWithin(home, workspace);
  if (!inTree || (bare !== undefined && bare.size > 0) || !isPlain(dir)) return false;
  if (named !== undefined && gitNamesIn(named, dir)) return false;
  const folded = foldPath(relativeTo(dir, workspace));
  return !(block.reachesInto(folded) || flag.reachesInto(folded) || reachesGit(folded));
}

function outsideReason(change: Change, { workspace, home, owned }: ClassifyInput): string | null {
  const { path } = change;
  // Whoever starts an agent in / has named no tree that is the agent's to write.
  if (workspace === '/') return owned?.(path) === true ? null : 'no workspace but the whole machine';
  if (isWithin(path, workspace) && !(isWithin(home, workspace) && isPersonal(path, home))) return null;
  if (owned?.(path) === true) return null;
  return isWithin(path, home) ? 'in your home, outside the workspace' : 'outside the workspace';
}

/** A home that is (in) the workspace keeps its dot files and programs to itself. */
function isPersonal(path: Bytes, home: Bytes): boolean {
  if (!isWithin(path, home) || path === home) return false;
  const first = foldPath(path.slice(home.length + 1) as Bytes).split('/')[0] ?? '';
  return first.startsWith('.') || first === 'bin';
}

function controlReason(change: Change, folded: FoldedPath, input: ClassifyInput): string | null {
  // A directory runs nothing; what is in it is told by changes of their own.
  if (change.type === 'dir') return null;
  if (isHarmless(folded) || (change.kind === 'delete' && folded.name === 'commondir' && input.gone?.has(parentOf(change.path)) === true)) return null;
  if (folded.name === '.git' && change.kind !== 'delete') return `.git as a ${change.type}`;
  const listed = block.reasonFor(folded) ?? (replacesDirectory(change) ? block.reasonForDirectory(folded) : null);
  if (listed !== null) return listed;
  if (replacesDirectory(change) && isGitDir(folded)) return 'git directory elsewhere';
  if (isGitConfig(folded)) return gitConfigReason(change, input);
  if (isGitRefs(folded) && replacesObjects(change, input.contents)) return 'git objects replaced';
  const named = input.named === undefined ? null : gitNames(input.named, change);
  if (named !== null) return named;
  return inBareRepository(change, input) ? 'bare git repository' : null;
}

interface FoldedDir {
  readonly dir: Bytes;
  readonly workspace: Bytes;
  /** null: it can't be folded apart from the name */
  readonly folded: string | null;
}

/** Changes come directory by directory. */
let lastDir: FoldedDir = { dir: '' as Bytes, workspace: '' as Bytes, folded: null };

function foldedIn(path: Bytes, workspace: Bytes): FoldedPath {
  const name = nameOf(path);
  const dir = path.slice(0, -name.length - 1) as Bytes;
  if (dir !== lastDir.dir || workspace !== lastDir.workspace) {
    lastDir = { dir, workspace, folded: isPlain(dir) ? foldPath(relativeTo(dir, workspace)) : null };
  }
  if (lastDir.folded !== null && path !== workspace && isPlain(name)) return { dir: lastDir.folded, name: foldPath(name) };
  const folded = foldPath(relativeTo(path, workspace));
  const slash = folded.lastIndexOf('/');
  return { dir: folded.slice(0, Math.max(slash, 0)), name: folded.slice(slash + 1) };
}

function relativeTo(path: Bytes, workspace: Bytes): Bytes {
  if (!isWithin(path, workspace)) return path.slice(1) as Bytes;
  // With the workspace's own name: it may be `.github` or lie in one.
  return path.slice(parentOf(workspace).length).replace(/^\//, '') as Bytes;
}

/** A symlink where a directory of a rule would be brings in files that no change names. */
function replacesDirectory(change: Change): boolean {
  return change.type === 'symlink' && change.kind !== 'delete';
}

function gitConfigReason(change: Change, { contents, workspace }: ClassifyInput): string | null {
  const place = { dir: parentOf(change.path), workspace };
  if (change.kind === 'metadata') return null;
  if (change.kind === 'delete') return baseText(change, contents) === null ? 'git configuration' : gitConfigRisk('', baseText(change, contents), place);
  const text = change.type === 'file' ? textOf(change, 'upper', contents) : null;
  return text === null ? "git configuration that can't be read" : gitConfigRisk(text, baseText(change, contents), place);
}

/** Packed into one file with all others they have no name of their own. */
function replacesObjects(change: Change, contents: ClassifyInput['contents']): boolean {
  const replacing = (side: 'upper' | 'base'): string | null => {
    const content = contents?.read(change, side, MOST_REFS) ?? null;
    return content === null ? null : (content.toString('latin1').match(/^.* refs\/replace\/.*$/gm) ?? []).join('\n');
  };
  const before = change.base === null || change.oldType !== null ? '' : replacing('base');
  const after = change.kind === 'delete' ? '' : change.type === 'file' ? replacing('upper') : null;
  return change.kind !== 'metadata' && (after === null || after !== before);
}

function textOf(change: Change, side: 'upper' | 'base', contents: ClassifyInput['contents']): string | null {
  const content = contents?.read(change, side, MOST_TEXT) ?? null;
  return content === null ? null : content.toString('utf8');
}

/** Null where the host has no such file, so that all of the agent's is new. */
function baseText(change: Change, contents: ClassifyInput['contents']): string | null {
  return change.base === null || change.oldType !== null ? null : textOf(change, 'base', contents);
}

function inBareRepository(change: Change, { bare }: ClassifyInput): boolean {
  if (bare === undefined || bare.size === 0) return false;
  const dir = parentOf(change.path);
  if (bare.has(dir)) return ['head', 'config', 'commondir'].includes(foldPath(nameOf(change.path)));
  return nameOf(dir) === 'hooks' && bare.has(parentOf(dir));
}

function laterReason(change: Change, folded: FoldedPath, input: ClassifyInput): string | null {
  const own = objectRisk(change, input.workspace, input.contents);
  if (change.type === 'dir' || change.kind === 'metadata') return own;
  const listed = flag.reasonFor(folded) ?? (replacesDirectory(change) ? flag.reasonForDirectory(folded) : null);
  return listed ?? manifestReason(change, folded, input) ?? own;
}

function manifestReason(change: Change, { name }: FoldedPath, { contents }: ClassifyInput): string | null {
  const rule = MANIFESTS.get(name);
  if (rule === undefined) return null;
  const text = change.type === 'file' ? textOf(change, 'upper', contents) : null;
  return text === null ? `${toText(nameOf(change.path))} that can't be read` : rule(text, baseText(change, contents));
}
