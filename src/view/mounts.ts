import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes, nameOf, parentOf } from '../bytes.js';
import { addReadOnly, addTmpfs, decide, isPrivate, newDraft, regionOf, setRegion, ensurePoint, type Draft } from './draft.js';
import { canBeUpper } from './fstypes.js';
import { addGranted } from './grants.js';
import { coverElsewhere, refuseMachine } from './kernel-mounts.js';
import { placeHides, replaceDecision } from './hiding.js';
import { aliasesOf } from './hides.js';
import { finishLayers } from './layers.js';
import { mountOf, mountsBelow, mountTable, parseMountinfo } from './mountinfo.js';
import type { Decided, HostFacts, ViewOptions, ViewPlan } from './plan.js';
import { PlanError } from './plan.js';
import { findPrivateRoots, MARKER, placePrivate, placePrograms } from './private.js';
import { placeHostAsRoot } from './root.js';
import { placeSsh } from './ssh.js';
import { closeAutomounts, placeEarlier, placeHost, placeTree } from './user.js';

/**
 * The mount planner: from the text of /proc/self/mountinfo and answers about
 * the host to the ordered steps that build the view, with a decision and a
 * reason for every mount.
 */
export function planView(mountinfo: Bytes, options: ViewOptions, facts: HostFacts): ViewPlan {
  const draft = newDraft(mountTable(parseMountinfo(mountinfo)), options, facts);
  checkStore(draft);
  refuseMachine(options);
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
  coverElsewhere(draft);
  coverHostSockets(draft);
  placeSockets(draft);
  closeAutomounts(draft);
  placeMarker(draft);
  return finish(draft);
}

/** The marker of a sandbox; with the gate it holds what the agent may read of refusals. */
function placeMarker(draft: Draft): void {
  const { gate } = draft.options;
  for (const { path, source } of gate?.files ?? []) addReadOnly(draft, path, 'names are resolved by the network gate', source);
  if (regionOf(draft, MARKER).kind !== 'tmpfs') return;
  if (gate === undefined) addTmpfs(draft, MARKER, 0o555, { size: 4096, readOnly: true });
  else addReadOnly(draft, MARKER, 'what the network gate refused lately', gate.notes);
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

/**
 * A socket seen through a layer refuses, but where the host's own objects show
 * it answers, read-only mounts included. No rule but `sockets.allow` opens one.
 */
function coverHostSockets(draft: Draft): void {
  const { facts, table, options } = draft;
  const brokered = new Set(options.sockets.map(({ path }) => path));
  const found = new Set<Bytes>();
  for (const bound of options.hostSockets) {
    const parent = facts.realpath(parentOf(bound));
    if (parent !== null) for (const path of aliasesOf(table, joinBytes(parent, nameOf(bound)))) found.add(path);
  }
  for (const path of [...found].sort()) {
    const { kind } = regionOf(draft, path);
    if ((kind !== 'read-only' && kind !== 'passthrough') || brokered.has(path) || facts.lstat(path)?.type !== 'other') continue;
    draft.ops.push({ op: 'hide', dst: path });
    decide(draft, path, 'hide', 'a host socket');
  }
}

/** The driver's own sockets, which broker those of the host; after what hides, which they may lie in. */
function placeSockets(draft: Draft): void {
  for (const { path, source, rule } of draft.options.sockets) {
    if (regionOf(draft, path).kind === 'hidden') throw new PlanError(`Can't show the socket ${path} (${rule}): it lies in something that is hidden.`, 'Take it out of sockets.allow, or except it from what hides it');
    addReadOnly(draft, path, `a host socket, brokered (${rule})`, source);
  }
}

/** What the user lets through for writing, and hands in for reading. */
function placeGrants(draft: Draft): void {
  const { options, facts } = draft;
  for (const { path, why } of options.passthrough) {
    const stat = facts.lstat(path);
    if (stat?.type !== 'dir') throw new PlanError(`Can't pass ${path} through: it is not a directory.`, 'Only directories can be passed through: a bound file can not be replaced');
    const machine = MACHINE.find(([dir]) => isWithin(path, dir as Bytes) && !isWithin(path, '/dev/shm' as Bytes));
    if (machine !== undefined) throw new PlanError(`Can't pass ${path} through: it shows the host's ${machine[1]}.`, 'Leave that rule or flag out');
    if (isWithin(MARKER, path)) throw new PlanError(`Can't pass ${path} through: the sandbox has ${MARKER} of its own.`, 'Name only the paths in it that are needed');
    const own = draft.privateRoots.find((root) => root.name !== null && isWithin(root.path, path));
    if (own !== undefined) throw new PlanError(`Can't pass ${path} through: the sandbox has ${own.path} of its own.`, 'Name only the paths in it that are needed');
    if (isWithin(options.stateDir, path)) throw new PlanError(`Can't pass ${path} through: the store lies in it.`, 'Name a smaller directory');
    ensurePoint(draft, path, 'dir');
    draft.ops.push({ op: 'bind', src: path, dst: path, write: true });
    setRegion(draft, path, 'passthrough');
    for (const { point } of [{ point: path }, ...mountsBelow(draft.table, path)]) replaceDecision(draft, point, 'passthrough', why);
  }
  for (const { path, rule } of options.readonly) {
    refuseCovering(draft, path, rule);
    if (isPrivate(regionOf(draft, path)) || regionOf(draft, path).kind === 'read-only') continue;
    addGranted(draft, path, rule);
    replaceDecision(draft, path, 'read-only', rule);
  }
  for (const path of options.share) {
    if (DESCRIPTOR.test(path)) throw new PlanError(`Can't share ${path}: it is another descriptor to each program that looks.`, 'Name the file itself; what comes through a pipe can be given on stdin');
    const source = facts.realpath(path);
    if (source === null) throw new PlanError(`Can't share ${path}: there is no such file.`, 'Name a file or a directory of this machine');
    if (isWithin(source, '/proc' as Bytes)) throw new PlanError(`Can't share ${path}: it shows the host's processes.`, 'Share a copy of it: cat FILE > COPY');
    if (isWithin(options.stateDir, source) || isWithin(source, options.stateDir)) {
      throw new PlanError(`Can't share ${path}: the store lies there.`, 'Name something else');
    }
    if (facts.lstat(source)?.type === 'other') throw new PlanError(`Can't share ${path}: it is neither a file nor a directory.`, 'A host socket is opened by sockets.allow in your policy');
    refuseOwn(draft, path, source);
    // Symlinks on the way are in the view as well, but where it shows nothing of the host.
    const at = isPrivate(regionOf(draft, path)) ? path : source;
    if (at !== source) draft.linked.push({ path: at, source });
    addGranted(draft, at, 'you share it with the sandbox', source);
  }
}

/** `<(…)` of shells is one too. */
const DESCRIPTOR = /^\/(dev\/(fd\/|std(in|out|err)$)|proc\/(self|thread-self|\d+)\/(task\/\d+\/)?fd\/)/;

/** What no agent writes to, asked or not: as root it would reach the machine itself by it. */
const MACHINE = [['/proc', 'processes'], ['/sys', 'kernel'], ['/dev', 'devices']] as const;

/** The host's own, shown read-only, would take what programs write to from the agent, and devices and services from behind what covers them. */
function refuseOwn(draft: Draft, path: Bytes, source: Bytes): void {
  const roots = [...draft.privateRoots.map((root) => root.path), '/dev/shm' as Bytes, '/dev' as Bytes];
  const own = roots.find((root) => isWithin(root, source) || root === path);
  if (own !== undefined) throw new PlanError(`Can't share ${path}: the sandbox has ${own} of its own.`, 'Name only the paths in it that are needed');
}

/**
 * A read-only bind of the host would lie over what the sandbox has there of its own: its layers, its /var/tmp.
 * A layer over just that directory, as a mount has one, is what the rule asks to have no use for.
 */
function refuseCovering({ regions, options }: Draft, path: Bytes, rule: string): void {
  const isNeeded = options.trees.some((tree) => isWithin(tree, path));
  const own = [...regions.values()].find((region) => isWithin(region.path, path) && (region.path === path ? isNeeded && region.kind === 'overlay' : region.kind === 'overlay' || isPrivate(region)));
  if (own === undefined) return;
  throw new PlanError(`Can't make ${path} read-only: the sandbox has ${own.path} of its own (${rule}).`, 'Name directories that lie deeper, such as ~/.config or ./db');
}
