import type { Bytes } from '../bytes.js';
import { isWithin, parentOf } from '../bytes.js';
import {
  addPrivateDir,
  addReadOnly,
  addTmpfs,
  decide,
  decideBelow,
  ensurePoint,
  isPrivate,
  makeDir,
  regionOf,
  type Draft,
} from './draft.js';

/** Disk-backed directories of the sandbox's own, and their names in the store. */
const ON_DISK = [
  { path: '/tmp', name: 'tmp' },
  { path: '/var/tmp', name: 'var-tmp' },
] as const;

/** In memory. /dev/shm comes with the minimal /dev. */
const IN_MEMORY = ['/run', '/var/run'] as const;

/** Small things that are shown read-only in the private /run, each for its reason. No socket is among them. */
const RUN_EXCEPTIONS = [
  { path: '/run/current-system', why: 'holds the programs in PATH on NixOS' },
  { path: '/run/booted-system', why: 'holds kernel modules and firmware on NixOS' },
  { path: '/run/opengl-driver', why: 'holds the graphics libraries on NixOS' },
  { path: '/run/wrappers', why: 'is in PATH on NixOS' },
  { path: '/run/systemd/resolve/resolv.conf', why: 'name resolution' },
  { path: '/run/systemd/resolve/stub-resolv.conf', why: 'name resolution' },
  { path: '/run/NetworkManager/resolv.conf', why: 'name resolution' },
  { path: '/run/NetworkManager/no-stub-resolv.conf', why: 'name resolution' },
  { path: '/run/resolvconf/resolv.conf', why: 'name resolution' },
  { path: '/run/connman/resolv.conf', why: 'name resolution' },
] as const;

/** Marks a sandbox, so that a run inside a run is seen. A mount: nothing inside can make or remove it. */
export const MARKER = '/run/agentfw' as Bytes;

/** The directories that are the sandbox's own, as real paths; one that holds or is the project is not. */
export function findPrivateRoots(draft: Draft): Draft['privateRoots'] {
  const { facts, options } = draft;
  const real = (path: string): Bytes | null => facts.realpath(path as Bytes);
  const runtime = options.runtimeDir === null ? null : real(options.runtimeDir);
  const wanted = [
    ...ON_DISK.map(({ path, name }) => ({ path: real(path), name, mode: 0o1777 })),
    ...IN_MEMORY.map((path) => ({ path: real(path), name: null, mode: 0o755 })),
    ...(runtime !== null && [options.cwd, ...options.trees].some((tree) => isWithin(tree, runtime)) ? [] : [{ path: runtime, name: null, mode: 0o700 }]),
  ];
  const found: Draft['privateRoots'] = [];
  for (const { path, name, mode } of wanted) {
    if (path === null || path === '/' || facts.lstat(path)?.type !== 'dir' || options.trees.includes(path)) continue;
    if (!found.some((other) => isWithin(path, other.path))) found.push({ path, name, mode });
  }
  return found;
}

/** True where the planner lays nothing of the host: the sandbox's own directories, and where the store shows. */
export function isPrivateRoot(draft: Draft, path: Bytes): boolean {
  return draft.privateRoots.some((root) => root.path === path) || draft.storeAt.includes(path);
}

/** The sandbox's own temporary and runtime directories. */
export function placePrivate(draft: Draft): void {
  for (const { path, name, mode } of draft.privateRoots) {
    if (isPrivate(regionOf(draft, path))) continue;
    if (name === null) addTmpfs(draft, path, mode, { size: 0, readOnly: false });
    else addPrivateDir(draft, path, name, mode);
    decide(draft, path, 'private', name === null ? 'the sandbox has its own, in memory' : 'the sandbox has its own, on disk');
    decideBelow(draft, path, 'skip', `below ${path}, which is the sandbox's own`);
  }
  fillRun(draft);
  placeRuntimeDir(draft);
}

/** What programs expect in /run. */
function fillRun(draft: Draft): void {
  const { facts } = draft;
  if (regionOf(draft, '/run' as Bytes).kind !== 'tmpfs') return;
  makeDir(draft, '/run/lock' as Bytes, 0o1777);
  makeDir(draft, '/run/user' as Bytes, 0o755);
  const shm = facts.readlink('/run/shm' as Bytes);
  if (shm !== null) draft.ops.push({ op: 'symlink', target: shm, dst: '/run/shm' as Bytes });
  const resolver = facts.realpath('/etc/resolv.conf' as Bytes);
  const own = resolver === null ? [] : [{ path: resolver as string, why: 'name resolution' }];
  for (const { path, why } of [...own, ...RUN_EXCEPTIONS]) showInPrivate(draft, path as Bytes, why);
}

/** Something of the host at its place in a private directory, read-only. */
function showInPrivate(draft: Draft, path: Bytes, why: string): void {
  const { facts } = draft;
  const stat = facts.lstat(path);
  if (stat === null || !isPrivate(regionOf(draft, path)) || regionOf(draft, path).path === path) return;
  if (stat.type === 'dir' || stat.type === 'file') return addReadOnly(draft, path, why);
  const target = stat.type === 'symlink' ? facts.readlink(path) : null;
  if (target === null || draft.ops.some((step) => step.op === 'symlink' && step.dst === path)) return;
  ensurePoint(draft, path, 'file');
  draft.ops.push({ op: 'symlink', target, dst: path });
}

/** $XDG_RUNTIME_DIR, empty: this is what hides D-Bus, agents, compositors and container sockets. */
function placeRuntimeDir(draft: Draft): void {
  const dir = draft.options.runtimeDir === null ? null : draft.facts.realpath(draft.options.runtimeDir);
  if (dir !== null && draft.facts.lstat(dir)?.type === 'dir' && isPrivate(regionOf(draft, dir))) ensurePoint(draft, dir, 'dir');
}

/** The agent's own program, where it lies in a directory that is otherwise the sandbox's own. */
export function placePrograms(draft: Draft): void {
  for (const program of draft.options.programs) {
    const region = regionOf(draft, program);
    const source = draft.facts.realpath(program);
    if (!isPrivate(region) || region.path === program || source === null) continue;
    const dir = parentOf(program);
    if (regionOf(draft, dir).path === dir) addReadOnly(draft, program, 'the program that runs', source);
    else addReadOnly(draft, dir, 'the directory of the program that runs');
  }
}
