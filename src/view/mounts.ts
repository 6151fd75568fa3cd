import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes } from '../bytes.js';
import { addReadOnly, addTmpfs, decide, decideBelow, isPrivate, newDraft, regionOf, setRegion, ensurePoint, type Draft } from './draft.js';
import { canBeUpper } from './fstypes.js';
import { aliasesOf, hiddenPaths, layerRooms } from './hides.js';
import { finishLayers } from './layers.js';
import { mountOf, mountTable, parseMountinfo } from './mountinfo.js';
import type { Decided, HostFacts, ViewOp, ViewOptions, ViewPlan } from './plan.js';
import { PlanError } from './plan.js';
import { findPrivateRoots, MARKER, placePrivate, placePrograms } from './private.js';
import { placeHostAsRoot } from './root.js';
import { placeSsh } from './ssh.js';
import { placeEarlier, placeHost, placeTree } from './user.js';

/**
 * The mount planner: from the text of /proc/self/mountinfo and answers about
 * the host to the ordered steps that build the view, with a decision and a
 * reason for every mount.
 */
export function planView(mountinfo: Bytes, options: ViewOptions, facts: HostFacts): ViewPlan {
  const draft = newDraft(mountTable(parseMountinfo(mountinfo)), options, facts);
  checkStore(draft);
  draft.privateRoots.push(...findPrivateRoots(draft));
  if (options.mode === 'root') placeHostAsRoot(draft);
  else placeHost(draft);
  placePrivate(draft);
  // Parents first: a tree inside another may still need a layer of its own.
  for (const tree of [...new Set(options.trees)].sort()) placeTree(draft, tree);
  placeEarlier(draft);
  placePrograms(draft);
  if (options.mode === 'user' && options.uid !== 0) placeSsh(draft);
  placeGrants(draft);
  placeHides(draft);
  const marker = regionOf(draft, MARKER);
  if (marker.kind === 'tmpfs') addTmpfs(draft, MARKER, 0o555, { size: 4096, readOnly: true });
  return finish(draft);
}

function finish(draft: Draft): ViewPlan {
  return {
    ops: draft.ops,
    layers: finishLayers(draft),
    privateDirs: draft.privateDirs,
    standIns: draft.standIns,
    mounts: draft.table.all.map(
      (mount): Decided =>
        draft.decided.get(mount.id) ?? {
          path: mount.point,
          decision: 'skip',
          why: draft.table.at.get(mount.point) === mount ? 'its mount point can not be seen' : 'covered by a later mount',
        },
    ),
    paths: draft.paths,
  };
}

/** The layers must lie on a filesystem that can hold them, and no run happens inside the store. */
function checkStore({ options, table }: Draft): void {
  const mount = mountOf(table, options.stateDir);
  if (mount !== null && !canBeUpper(mount.type)) {
    throw new PlanError(
      `The store ${options.stateDir} lies on ${mount.type}, which can't hold layers.`,
      'Set AGENTFW_STATE_DIR to a directory on a disk filesystem (in a container: a volume), or on a tmpfs such as /dev/shm',
    );
  }
  if (mount?.readOnly === true) {
    throw new PlanError(`The store ${options.stateDir} lies on a read-only filesystem.`, 'Set AGENTFW_STATE_DIR to a directory where you can write');
  }
  if (isWithin(options.cwd, options.stateDir)) {
    throw new PlanError("Can't run inside the store.", 'Change to the directory of your project');
  }
}

/** What the user lets through for writing, and hands in for reading. */
function placeGrants(draft: Draft): void {
  const { options, facts } = draft;
  for (const path of options.passthrough) {
    const stat = facts.lstat(path);
    if (stat?.type !== 'dir') throw new PlanError(`Can't pass ${path} through: it is no directory.`, 'Only directories can be passed through: a bound file can not be replaced');
    if (isWithin(options.stateDir, path)) throw new PlanError(`Can't pass ${path} through: the store lies in it.`, 'Name a smaller directory');
    ensurePoint(draft, path, 'dir');
    draft.ops.push({ op: 'bind', src: path, dst: path, write: true });
    setRegion(draft, path, 'passthrough');
    replaceDecision(draft, path, 'passthrough', 'you let writes through to the host');
  }
  for (const path of options.share) {
    const source = facts.realpath(path);
    if (source === null) throw new PlanError(`Can't share ${path}: there is no such file.`, 'Name a file or a directory of this machine');
    if (isWithin(options.stateDir, source) || isWithin(source, options.stateDir)) {
      throw new PlanError(`Can't share ${path}: the store lies there.`, 'Name something else');
    }
    addReadOnly(draft, path, 'you share it with the sandbox', source);
  }
}

function replaceDecision(draft: Draft, path: Bytes, decision: Decided['decision'], why: string): void {
  const mount = draft.table.at.get(path);
  if (mount !== undefined) draft.decided.delete(mount.id);
  decide(draft, path, decision, why);
}

/** What must not be seen: the user's hides, then the store and every other place of layers. */
function placeHides(draft: Draft): void {
  const { options, facts, table } = draft;
  for (const path of hiddenPaths(table, facts, options.hide)) {
    if (path === '/' || isWithin(options.cwd, path)) {
      throw new PlanError(`Can't hide ${path}: the working directory lies in it.`, 'Hide something smaller, or run elsewhere');
    }
    if (isPrivate(regionOf(draft, path))) continue;
    draft.ops.push(hideStep(draft, path));
    setRegion(draft, path, 'hidden');
    replaceDecision(draft, path, 'hide', 'you hide it');
    decideBelow(draft, path, 'hide', `below ${path}, which is hidden`);
  }
  const rooms = layerRooms(table, facts, options.uid);
  const own = draft.layers.map((layer) => layer.dir).filter((dir) => !isWithin(dir, options.stateDir));
  const made = own.map((dir) => joinBytes(mountOf(table, dir)!.point, `.agentfw-${options.uid}` as Bytes));
  const places = new Set([...draft.storeAt, ...[...rooms, ...made].flatMap((path) => aliasesOf(table, path))]);
  for (const place of places) hideStore(draft, place);
}

/**
 * As root the agent can rename a directory of the host with what is hidden in
 * it; a `hide` would pass over the empty place on the next run, the others
 * refuse to start.
 */
function hideStep({ options, facts, regions }: Draft, path: Bytes): ViewOp {
  if (options.mode === 'user' || regions.get(path)?.kind === 'overlay') return { op: 'hide', dst: path };
  if (facts.lstat(path)?.type === 'dir') return { op: 'tmpfs', dst: path, mode: 0, size: 4096, flags: ['ro'] };
  return { op: 'bind', src: '/dev/null' as Bytes, dst: path, write: false };
}

/** A tmpfs, not a `hide`: where it can't be laid the start is refused. */
function hideStore(draft: Draft, path: Bytes): void {
  if (isPrivate(regionOf(draft, path))) return;
  if (isWithin(draft.options.cwd, path)) {
    throw new PlanError(`Can't run in ${draft.options.cwd}: the store shows there.`, 'Change to the directory of your project');
  }
  addTmpfs(draft, path, 0o555, { size: 4096, readOnly: true });
  decide(draft, path, 'hide', "agentfw's own");
  decideBelow(draft, path, 'hide', "agentfw's own");
}
