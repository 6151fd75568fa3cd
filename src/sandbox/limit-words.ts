import type { GroupUse } from '../kernel/cgroup.js';
import { groupUse } from '../kernel/cgroup.js';
import type { Kernel } from '../kernel/kernel.js';
import type { Bytes } from '../bytes.js';
import { sizeText } from '../policy/units.js';
import { filledDirs, measureLayers, type LayerUse } from './layer-use.js';
import { limitText } from './limits.js';
import { memoryOf, tasksOf } from './memory-use.js';
import type { Limit, SandboxRecord } from './sandbox.js';

/** At the end of a run: which limits were met, and what was run without. */
export function limitLines({ limited, limits = [], degraded }: SandboxRecord, { oomKills, refusedTasks }: GroupUse): readonly string[] {
  const valueOf = (name: Limit['name']): string => limitText(name, limits.find((limit) => limit.name === name)?.value ?? 0);
  const accepted = degraded.filter((loss) => loss.accepted === true).map(({ name }) => name);
  const parts = [
    limited === undefined ? null : `ended, because ${limited}`,
    oomKills === 0 ? null : `the kernel ended ${oomKills === 1 ? 'a process' : `${oomKills} processes`} at the memory limit of ${valueOf('memory')}`,
    refusedTasks === 0 ? null : `the limit of ${valueOf('pids')} processes was met`,
    accepted.length === 0 ? null : `ran without ${accepted.join(', ')}, as accepted`,
  ].filter((part) => part !== null);
  return parts.length === 0 ? [] : [`agentfw: ${parts.join('; ')}`];
}

/** A limit with what is used of it; null where that isn't known. */
export interface LimitUse extends Limit {
  readonly used: number | null;
}

const LAYERED: ReadonlySet<Limit['name']> = new Set(['layer', 'inodes']);

/** With what each limit has used, in that limit's own unit; null where nobody counts it. */
export async function limitUse(kernel: Kernel, record: SandboxRecord, place: { readonly dir: Bytes; readonly now: Date }): Promise<readonly LimitUse[]> {
  const limits = record.limits ?? [];
  if (limits.length === 0) return [];
  const layers = limits.some(({ name }) => LAYERED.has(name)) ? await measureLayers(kernel, filledDirs(record, place.dir)) : null;
  const groups = groupUse(record.groups ?? []);
  return limits.map((limit) => ({ ...limit, used: usedOf(limit, record, { layers, groups, now: place.now }) }));
}

interface Use {
  readonly layers: LayerUse | null;
  readonly groups: GroupUse;
  readonly now: Date;
}

function usedOf({ name, by }: Limit, record: SandboxRecord, { layers, groups, now }: Use): number | null {
  if (name === 'layer') return layers?.bytes ?? null;
  if (name === 'inodes') return layers?.files ?? null;
  if (name === 'time') return secondsOf(record, now);
  if (record.init === null || name === 'cpu') return null;
  if (by === 'group') return name === 'memory' ? groups.memory : groups.pids;
  return name === 'memory' ? memoryOf(record) : tasksOf(record);
}

function secondsOf({ started, stopped }: SandboxRecord, now: Date): number {
  const end = stopped === null ? now.getTime() : Date.parse(stopped);
  return Math.max(0, Math.round((end - Date.parse(started)) / 1000));
}

const HOLDERS: Readonly<Record<Limit['by'], string>> = {
  group: 'control group', rlimit: 'kernel, per user namespace', watch: 'watched',
};

/** `memory 8GB (control group): 1.2GB` */
export function limitUseText({ name, value, by, used }: LimitUse): string {
  const shown = used === null ? '' : `: ${name === 'time' ? `${used}s` : name === 'memory' || name === 'layer' ? sizeText(used) : String(used)}`;
  return `${name} ${limitText(name, value)} (${HOLDERS[by]})${shown}`;
}
