import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { AgentfwError } from '../errors.js';
import { groupUse, isHullWhole, makeGroups, makeHull, removeGroups, treeOf, type Controller, type Group, type GroupLimits, type GroupUse, type Hierarchies } from '../kernel/cgroup.js';
import { readMountinfo } from '../kernel/facts.js';
import { callersDescriptors } from '../kernel/process.js';
import { limitOf, settingOf, type CompiledPolicy } from '../policy/index.js';
import { sizeText } from '../policy/units.js';
import { parseMountinfo } from '../view/mountinfo.js';
import type { Limit, SandboxRecord } from './sandbox.js';
import type { Spec } from './spec.js';

export const LIMIT_NAMES = ['memory', 'pids', 'cpu', 'layer', 'inodes', 'time'] as const;
/** Limits by their names in a policy. */
export type LimitName = (typeof LIMIT_NAMES)[number];

/** A limit that the policy sets and this machine can't hold. */
export interface Lacking {
  readonly name: LimitName;
  readonly why: string;
  readonly hint: string;
}

/** How the limits of one run are held. */
export interface LimitPlan {
  readonly limits: readonly Limit[];
  readonly groups: readonly Group[];
  /** accepted by name */
  readonly lacking: readonly Lacking[];
}

export const NO_LIMITS: LimitPlan = { limits: [], groups: [], lacking: [] };

/** Since 5.14 the kernel counts processes per user namespace: those of one sandbox alone. */
const COUNTED_PER_NAMESPACE = [5, 14] as const;
const MEND = 'Start it where control groups are delegated to you (systemd-run --user --scope -p Delegate=yes agentfw run …; as root of a machine, cgroups with that controller)';

/**
 * Decides how each limit is held and makes the control groups. What can't be
 * held stops the start unless the user accepts the loss by name. The caller
 * removes the groups.
 */
export function holdLimits(policy: CompiledPolicy, mode: SandboxRecord['mode'], accepted: ReadonlySet<string>): LimitPlan {
  const plan = limitsFor(policy, mode, accepted);
  return { ...plan, groups: [...plan.groups, ...makeHull(plan.groups, hierarchies(), mode === 'root')] };
}

/**
 * Whether the agent may begin control group namespaces: only where they would
 * show it no more than its own tree.
 */
export function mayNestGroups(groups: readonly Group[], mode: SandboxRecord['mode']): boolean {
  return isHullWhole(groups, hierarchies(), mode === 'root');
}

function hierarchies(): Hierarchies {
  return { mounts: parseMountinfo(readMountinfo()), own: readFileSync('/proc/self/cgroup', 'utf8') };
}

function limitsFor(policy: CompiledPolicy, mode: SandboxRecord['mode'], accepted: ReadonlySet<string>): LimitPlan {
  const wanted = LIMIT_NAMES.flatMap((name) => {
    const value = limitOf(policy, name);
    return value === null ? [] : [{ name, value }];
  });
  if (wanted.length === 0) return NO_LIMITS;
  const groups = groupsFor(wanted.filter(({ name }) => isController(name)));
  const lacking: Lacking[] = [];
  const limits: Limit[] = [];
  for (const { name, value } of wanted) {
    const by = isController(name) ? holderOf(name, mode, groups) : 'watch';
    if (by !== null) limits.push({ name, value, by });
    else lacking.push({ name, ...whyNot(name) });
  }
  const refused = lacking.find(({ name }) => !accepted.has(name));
  if (refused === undefined) return { limits, groups, lacking };
  removeGroups(groups);
  const origin = settingOf(policy, `limits.${refused.name}`)?.origin;
  const from = origin === undefined || origin.line === 0 ? '' : ` of ${origin.file}:${origin.line}`;
  throw new AgentfwError('AFW_LIMIT', `Can't hold the ${refused.name} limit${from}: ${refused.why}.`, {
    status: 125,
    hint: `${refused.hint}; or run without it: --accept-degraded ${refused.name}`,
  });
}

function isController(name: LimitName): name is Controller {
  return name === 'memory' || name === 'pids' || name === 'cpu';
}

function groupsFor(wanted: readonly { readonly name: LimitName; readonly value: number }[]): readonly Group[] {
  if (wanted.length === 0) return [];
  const limits: GroupLimits = Object.fromEntries(wanted.map(({ name, value }) => [name, value]));
  return makeGroups(limits, hierarchies());
}

function holderOf(name: Controller, mode: SandboxRecord['mode'], groups: readonly Group[]): Limit['by'] | null {
  if (groups.some(({ controllers }) => controllers.includes(name))) return 'group';
  if (name === 'memory') return 'watch';
  // Of root itself the kernel never counts processes.
  return name === 'pids' && mode === 'user' && isSince(release(), COUNTED_PER_NAMESPACE) ? 'rlimit' : null;
}

function isSince(version: string, [major, minor]: readonly [number, number]): boolean {
  const [a = 0, b = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return a > major || (a === major && b >= minor);
}

function whyNot(name: LimitName): Omit<Lacking, 'name'> {
  if (name === 'cpu') return { why: 'only a control group limits processors, and none can be made here', hint: MEND };
  return { why: 'processes of root, or of an old kernel, are limited by a control group only, and none can be made here', hint: MEND };
}

/** What the driver sets for each process. */
export function rlimitsOf(limits: readonly Limit[]): Spec['rlimits'] {
  const files = callersDescriptors();
  const own = files === null ? [] : [{ name: 'nofile', soft: String(files.soft), hard: String(files.hard) }];
  return [...own, ...limitsOfEach(limits)];
}

function limitsOfEach(limits: readonly Limit[]): Spec['rlimits'] {
  return limits.flatMap(({ name, value, by }) => {
    const both = { soft: String(value), hard: String(value) };
    if (name === 'pids' && by === 'rlimit') return [{ name: 'nproc', ...both }];
    // At once and per process; the watch counts the tree.
    return name === 'memory' && by === 'watch' ? [{ name: 'data', ...both }] : [];
  });
}

/** Where the driver starts the tree. */
export function placesOf(groups: readonly Group[]): Spec['groups'] {
  return groups.map((group) => ({ dir: treeOf(group), back: group.back }));
}

const REMOVE_TRIES = 100;
const REMOVE_PAUSE_MS = 10;

/** After the end of the tree; its last processes may take a moment to go. What they used is told before. */
export async function releaseLimits({ groups }: LimitPlan): Promise<GroupUse> {
  const use = groupUse(groups);
  for (let tries = 0; tries < REMOVE_TRIES && !removeGroups(groups); tries += 1) {
    await new Promise((go) => void setTimeout(go, REMOVE_PAUSE_MS));
  }
  return use;
}

/** `8GB`, `2h`, `4096`. */
export function limitText(name: LimitName, value: number): string {
  if (name === 'memory' || name === 'layer') return sizeText(value);
  return name === 'time' ? timeText(value) : String(value);
}

function timeText(seconds: number): string {
  const [unit, factor] = seconds % 3600 === 0 ? ['h', 3600] : seconds % 60 === 0 ? ['m', 60] : ['s', 1];
  return `${seconds / Number(factor)}${unit}`;
}
