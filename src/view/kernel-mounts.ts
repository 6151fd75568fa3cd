import type { Bytes } from '../bytes.js';
import { isWithin, joinBytes } from '../bytes.js';
import { decideBelow, isPrivate, regionOf, setRegion, type Draft } from './draft.js';
import { aliasesOf } from './hides.js';
import { replaceDecision } from './hiding.js';
import { mountOf } from './mountinfo.js';
import { PlanError, type ViewOptions } from './plan.js';

const OF_KERNEL = ['/proc', '/sys', '/dev'] as Bytes[];

/** They show processes, devices, queues and namespaces of the host, wherever they are mounted: in the tree of a chroot, say. */
const SHOWS_HOST: ReadonlySet<string> = new Set('proc sysfs devtmpfs devpts mqueue nsfs'.split(' '));

/** The host's processes, devices and services are never shown as a project: the view has its own of each. */
export function refuseMachine({ cwd, trees }: ViewOptions): void {
  const isOfMachine = (path: Bytes): boolean => path === '/run' || (!isWithin(path, '/dev/shm' as Bytes) && OF_KERNEL.some((dir) => isWithin(path, dir)));
  if (isOfMachine(cwd)) throw notHere(cwd);
  const tree = trees.find(isOfMachine);
  if (tree !== undefined) throw new PlanError(`Can't show ${tree}: it is the machine's, and the sandbox has its own.`, 'Set HOME to a directory of yours');
}

/** Nor where a second mount shows them; read-only would do against writing alone. */
export function coverElsewhere(draft: Draft): void {
  const { table, options } = draft;
  const covered: Bytes[] = [];
  const mounted = table.points.filter((point) => SHOWS_HOST.has(table.at.get(point)!.type) && !OF_KERNEL.some((dir) => isWithin(point, dir)));
  for (const point of [...mounted, ...servicesElsewhere(draft)].sort()) {
    if (isWithin(options.cwd, point)) throw notHere(options.cwd);
    if (isPrivate(regionOf(draft, point)) || covered.some((one) => isWithin(point, one))) continue;
    covered.push(point);
    draft.ops.push({ op: 'hide', dst: point });
    setRegion(draft, point, 'hidden');
    replaceDecision(draft, point, 'hide', 'the host’s processes, devices or services: the sandbox has its own');
    decideBelow(draft, point, 'hide', `below ${point}, which is hidden`);
  }
}

/** Other places of the whole `/run`, where servers bind sockets at any time; a part of it may be a resolver's file. */
function servicesElsewhere({ table, facts }: Draft): readonly Bytes[] {
  const run = '/run' as Bytes;
  const own = mountOf(table, run);
  const inside = own === null || own.point === run ? (own?.root ?? run) : joinBytes(own.root, 'run' as Bytes);
  return aliasesOf(table, run).filter((path) => {
    const mount = table.at.get(path);
    return path !== run && (mount === undefined || mount.root === inside) && facts.lstat(path)?.type === 'dir';
  });
}

function notHere(cwd: Bytes): PlanError {
  return new PlanError(`Can't run in ${cwd}: it is the machine's, and the sandbox has its own.`, 'Change to the directory of your project');
}
