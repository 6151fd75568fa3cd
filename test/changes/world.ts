/**
 * A host tree, a layer over it and a store, made by hand: what an overlay would
 * have left, without mounting one.
 */
import { execFileSync } from 'node:child_process';
import { constants, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromText, type Bytes } from '../../src/bytes.js';
import { applyPlan } from '../../src/changes/apply.js';
import type { JudgedChange } from '../../src/changes/change.js';
import { judgeConflicts } from '../../src/changes/conflict.js';
import { commitFacts } from '../../src/changes/plan/facts.js';
import { planCommit, type CommitInput } from '../../src/changes/plan.js';
import type { Plan } from '../../src/changes/plan/draft.js';
import type { CommitResult } from '../../src/changes/result.js';
import { scan } from '../../src/changes/scan.js';
import type { CommitContext, Hooks } from '../../src/changes/store-context.js';
import { KernelError, RENAME, type Kernel } from '../../src/kernel/kernel.js';
import { native } from '../../src/kernel/native.js';
import type { SandboxRecord } from '../../src/sandbox/sandbox.js';

export interface World {
  readonly top: string;
  readonly host: string;
  readonly upper: string;
  readonly state: string;
  readonly ctx: CommitContext;
  readonly remove: () => void;
}

export interface WorldOptions {
  readonly kernel?: Kernel;
  /** where to make it; default: the temporary directory */
  readonly under?: string;
  /** the store, and with it the layer, lies here */
  readonly storeUnder?: string;
}

const FAR_FUTURE = 2n ** 62n;

export function makeWorld(options: WorldOptions = {}): World {
  const top = mkdtempSync(join(options.under ?? tmpdir(), 'afw-changes-'));
  const storeTop = options.storeUnder === undefined ? top : mkdtempSync(join(options.storeUnder, 'afw-store-'));
  const state = join(storeTop, 'state');
  const host = join(top, 'host');
  const dir = join(state, 'sandboxes', 'box', 'layers', '0');
  for (const path of [host, join(dir, 'upper'), join(state, 'commits'), join(state, 'sandboxes', 'box', 'base')]) {
    mkdirSync(path, { recursive: true, mode: 0o755 });
  }
  const world = { top, host, state, upper: join(dir, 'upper') };
  const remove = (): void => {
    for (const path of new Set([top, storeTop])) {
      try {
        rmSync(path, { recursive: true });
      } catch {
        execFileSync('chmod', ['-R', 'u+rwx', path]);
        rmSync(path, { recursive: true });
      }
    }
  };
  return { ...world, ctx: contextFor(world, options.kernel ?? native), remove };
}

/** Without batches: each rename is a call that a test can see or fail. */
export function singleCalls(kernel: Kernel): Kernel {
  return Object.fromEntries(Object.entries(kernel).filter(([name]) => name !== 'landBatch')) as unknown as Kernel;
}

/** As filesystems that know no flags of a rename (NFS, 9p, many of FUSE): `flagless` tells by the names. `links`: they have hard links. */
export function withoutFlags(kernel: Kernel, isFlagless: (name: string) => boolean, links = true): Kernel {
  const einval = (call: string): KernelError => new KernelError('EINVAL', 22, call, null, `EINVAL: Invalid argument, ${call}`);
  return {
    ...kernel,
    rename: (oldAt, oldName, newAt, newName, flags) => {
      if (flags !== RENAME.replace && (isFlagless(oldName) || isFlagless(newName))) throw einval('renameat2');
      kernel.rename(oldAt, oldName, newAt, newName, flags);
    },
    link: (oldAt, oldName, newAt, newName) => {
      if (!links && (isFlagless(oldName) || isFlagless(newName))) throw new KernelError('EPERM', 1, 'linkat', null, 'EPERM: Operation not permitted, linkat');
      kernel.link(oldAt, oldName, newAt, newName);
    },
  };
}

/** What a step stages beside its target. */
export function isStaged(name: string): boolean {
  return name.startsWith('.agentfw-');
}

let counter = 0;

export function contextFor(world: Pick<World, 'host' | 'state'>, kernel: Kernel, t0: bigint = FAR_FUTURE): CommitContext {
  const record: SandboxRecord = {
    ...{ version: 1, tag: 'box', state: 'stopped', mode: 'user', argv: [], cwd: fromText(world.host) },
    ...{ created: '', started: '', stopped: null, t0, bootId: '', driver: null, init: null, exit: null },
    ...{ degraded: [], net: 'off', mounts: [], durable: false },
    layers: [
      {
        ...{ id: 0, base: fromText(world.host), family: 'user', covered: [], skeleton: false },
        dir: fromText(join(world.state, 'sandboxes', 'box', 'layers', '0')),
      },
    ],
  };
  return {
    kernel,
    stateDir: fromText(world.state),
    now: () => new Date(),
    randomId: () => `c${process.pid}x${(counter += 1).toString().padStart(6, '0')}`,
    record,
  };
}

export function changesIn(world: World): JudgedChange[] {
  const { kernel, record } = world.ctx;
  const uid = process.getuid?.() ?? 0;
  return [...scan({ kernel, layers: record.layers, mode: 'user', uid })].map((change) => ({
    ...change,
    ...{ class: 'normal', reason: null, conflict: null, verdict: null, rule: null },
  }));
}

export function judgedIn(world: World): JudgedChange[] {
  return judgeConflicts(world.ctx, changesIn(world));
}

export type Some = Partial<Pick<CommitInput, 'composed' | 'take' | 'renames'>> & {
  readonly only?: readonly string[];
  readonly live?: boolean;
  readonly keepSpecial?: boolean;
  readonly fifos?: boolean;
};

export function planOf(world: World, some: Some = {}, changes: readonly JudgedChange[] = judgedIn(world)): Plan {
  const only = some.only?.map((path) => fromText(join(world.host, path)));
  const { composed, take, renames } = some;
  return planCommit({
    changes,
    selected: new Set(only ?? changes.map(({ path }) => path)),
    ...(composed === undefined ? {} : { composed }),
    ...(take === undefined ? {} : { take }),
    ...(renames === undefined ? {} : { renames }),
    facts: commitFacts(world.ctx),
    options: { live: some.live ?? false, keepSpecial: some.keepSpecial ?? false, fifos: some.fifos ?? false, note: null },
  });
}

export function commit(world: World, some: Some = {}, hooks: Hooks = {}): CommitResult {
  return applyPlan(world.ctx, planOf(world, some), hooks);
}

/** Runs shell lines with `$H` the host's tree and `$U` the layer: the shortest way to say what is where. */
export function sh(world: Pick<World, 'host' | 'upper' | 'top'>, script: string): string {
  return execFileSync('bash', ['-euc', `umask 022; cd "$T"; wh() { mknod "$1" c 0 0; }; ${script}`], {
    env: { ...process.env, H: world.host, U: world.upper, T: world.top },
    encoding: 'utf8',
  });
}

/** Everything below a directory, one line per entry: type, mode, size, links, times and content or target. */
export function picture(dir: string, options: { readonly times?: boolean } = {}): string {
  const lines: string[] = [];
  const visit = (path: string, shown: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const type = Number(stat.mode) & constants.S_IFMT;
    const mode = (Number(stat.mode) & 0o7777).toString(8);
    const time = options.times === true && type !== constants.S_IFDIR ? ` ${stat.mtimeNs}` : '';
    if (type === constants.S_IFDIR) {
      lines.push(`${shown}/ ${mode}`);
      for (const name of readdirSync(path).sort()) visit(join(path, name), `${shown}/${name}`);
    } else if (type === constants.S_IFLNK) lines.push(`${shown} -> ${readlinkSync(path)}`);
    else if (type === constants.S_IFREG) {
      lines.push(`${shown} ${mode} x${stat.nlink}${time} ${readFileSync(path).toString('base64').slice(0, 200)}`);
    } else lines.push(`${shown} ${type.toString(8)} ${mode}`);
  };
  visit(dir, '');
  return lines.join('\n');
}

export function at(world: World, path: string): Bytes {
  return fromText(join(world.host, path));
}

/** What was not landed, by path, and why. */
export function refusalsIn({ host }: World, { refused }: CommitResult): Record<string, string> {
  return Object.fromEntries(refused.map(({ path, why, conflict }) => [path.slice(host.length + 1), conflict ?? why]));
}
