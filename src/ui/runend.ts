import { NO_CHANGES, NOTHING, type Ended, type Glance } from '../changes/ended.js';
import { isBare } from '../changes/scan/layer-dirs.js';
import type { CompiledPolicy } from '../policy/compiled.js';
import { sayTag } from '../sandbox/resolve.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import type { Store } from '../sandbox/store.js';
import { afterRun, isEmpty, type AfterRun } from './afterrun.js';

/** How the policy ends a run. */
export interface RunEnding {
  readonly policy: CompiledPolicy;
  /** `--on-exit keep` */
  readonly keep: boolean;
  /** see `AfterRun` */
  readonly removed: AfterRun['removed'];
  readonly say: (line: string) => void;
}

/** What the policy did with the changes, and whether any is left. */
export interface RunEnded {
  readonly ended: Ended;
  readonly isEmpty: boolean;
}

const MOST_LOOKED_AT = 2000;

/** Does what the policy says of the changes, and tells what the user should know of them. */
export async function endRun(store: Store, record: SandboxRecord, ending: RunEnding): Promise<RunEnded> {
  const { ended, left } = await judged(store, record, ending);
  const passes = record.mounts.some(({ decision }) => decision === 'passthrough');
  const links = passes ? (await import('../sandbox/left-links.js')).leftLinks(record) : [];
  for (const line of afterRun(record, ended, left, { removed: ending.removed, links, said: sayTag(store, record.tag) })) ending.say(line);
  return { ended, isEmpty: isEmpty(left) };
}

/** What judges and lands is a third of the program: no agent waits for it to be loaded, nor does a run that changed nothing. */
async function judged(store: Store, record: SandboxRecord, { policy, keep, say }: RunEnding): Promise<{ readonly ended: Ended; readonly left: Glance }> {
  if (record.layers.every((layer) => isBare(store.kernel, layer))) return { ended: NOTHING, left: NO_CHANGES };
  const { endByPolicy } = await import('../changes/ending.js');
  const { glance } = await import('../changes/gather.js');
  const onWait = (what: string): void => say(`agentfw: waiting for ${what}`);
  const ended = endByPolicy(store, record, { policy, keep, onWait });
  return { ended, left: glance(store, record, MOST_LOOKED_AT) };
}
