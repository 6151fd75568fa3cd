import type { Bytes } from '../bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import { sizeText } from '../policy/units.js';
import { filledDirs, measureLayers } from './layer-use.js';
import { limitText } from './limits.js';
import { memoryOf } from './memory-use.js';
import type { Limit, SandboxRecord } from './sandbox.js';

/** What a watch does when a limit is met. */
export interface LimitEnds {
  /** the agent is told once, and then the tree ended: `sentence` says which limit */
  readonly onReached: (limit: Limit, sentence: string) => void;
  /** four fifths of a limit are used */
  readonly onNear: (limit: Limit, sentence: string) => void;
}

/** A watch on a limit that the kernel doesn't hold, until it is stopped. */
export interface LimitWatch {
  readonly stop: () => void;
}

const TICK_MS = 500;
/** A count of the layers may take its time: at most a twentieth of it all. */
const REST_FACTOR = 20;
const NEAR = 0.8;
/** setTimeout takes no more. */
const LONGEST_MS = 2 ** 31 - 1;

interface Watched {
  readonly kernel: Kernel;
  readonly record: SandboxRecord;
  /** the sandbox's own */
  readonly dir: Bytes;
  /** ms of the wall clock */
  readonly now: () => number;
}

/** Watches from the start of a tree on what neither the kernel nor a control group holds. */
export function watchLimits({ kernel, record, dir, now }: Watched, ends: LimitEnds): LimitWatch {
  let over = false;
  const near = new Set<Limit>();
  const reached = (limit: Limit, sentence: string): void => {
    if (over) return;
    over = true;
    ends.onReached(limit, sentence);
  };
  const check = (limit: Limit | undefined, used: number, usedText: string): void => {
    if (limit === undefined || over) return;
    const sentence = `${NAMES[limit.name]} ${usedText}, the limit is ${limitText(limit.name, limit.value)}`;
    if (used > limit.value) return reached(limit, sentence);
    if (used <= limit.value * NEAR || near.has(limit)) return;
    near.add(limit);
    ends.onNear(limit, sentence);
  };
  const byName = (name: Limit['name']): Limit | undefined => (record.limits ?? []).find((limit) => limit.name === name && limit.by === 'watch');
  const [time, memory, layer, inodes] = (['time', 'memory', 'layer', 'inodes'] as const).map(byName);
  const timers = [
    ...(time === undefined ? [] : [after(now, time.value * 1000, () => reached(time, `its time of ${limitText('time', time.value)} is over`))]),
    ...(memory === undefined ? [] : [repeat(() => {
      const used = memoryOf(record);
      return Promise.resolve(check(memory, used, sizeText(used)));
    })]),
    ...(layer === undefined && inodes === undefined ? [] : [repeat(async () => {
      const { bytes, files } = await measureLayers(kernel, filledDirs(record, dir));
      check(layer, bytes, sizeText(bytes));
      check(inodes, files, `${files} files`);
    })]),
  ];
  return {
    stop: () => {
      over = true;
      for (const timer of timers) timer.stop();
    },
  };
}

const NAMES: Readonly<Record<Limit['name'], string>> = {
  memory: 'its processes hold', layer: 'its layers hold', inodes: 'its layers hold', time: 'it has run', pids: 'it has', cpu: 'it uses',
};

/** By the wall clock: a machine that slept has not stopped it. */
function after(now: () => number, ms: number, act: () => void): LimitWatch {
  const end = now() + ms;
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const left = end - now();
    if (left <= 0) act();
    else timer = setTimeout(arm, Math.min(left, LONGEST_MS)).unref();
  };
  timer = setTimeout(arm, Math.min(ms, LONGEST_MS)).unref();
  return { stop: () => clearTimeout(timer) };
}

function repeat(look: () => Promise<void>): LimitWatch {
  let stopped = false;
  let timer: NodeJS.Timeout;
  const again = (ms: number): void => {
    timer = setTimeout(() => {
      const began = performance.now();
      // A layer that can't be counted for once is counted the next time.
      const next = (): void => void (stopped || again(Math.max(TICK_MS, (performance.now() - began) * REST_FACTOR)));
      look().then(next, next);
    }, ms).unref();
  };
  again(TICK_MS);
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
