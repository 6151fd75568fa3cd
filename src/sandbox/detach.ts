import { closeSync, existsSync, fstatSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import type { Bytes } from '../bytes.js';
import { fromText, joinBytes, toBuffer } from '../bytes.js';
import { startBackground } from '../kernel/driver.js';
import { encodeFrame } from '../kernel/frames.js';
import type { Context } from '../context.js';
import { newTag, sandboxDir, type Store } from './store.js';
import { checkTag } from './tag.js';

/** Tells the background process that it is one; never passed to an agent. */
const BACKGROUND = 'AGENTFW_BACKGROUND';
const ATTENDED = ':attended';
const REPORT_FD = 3;
const OUTPUT = 'output.log' as Bytes;

/** What the command that waits for it says to the background process. */
export interface Background {
  readonly tag: string;
  /** it has a terminal: somebody is there to be asked, by `agentfw approvals` */
  readonly attended: boolean;
}

/** Null in any other process. */
export function backgroundOf({ env }: Context): Background | null {
  const value = env[BACKGROUND];
  return value === undefined ? null : { tag: value.replace(ATTENDED, ''), attended: value.endsWith(ATTENDED) };
}

interface DetachOptions {
  readonly context: Context;
  readonly argv: readonly Bytes[];
  readonly tag: string | null;
  readonly resume: string | null;
  readonly self: readonly string[];
  readonly network: { readonly person: boolean };
  readonly say: (line: string) => void;
  readonly onDetached: (tag: string) => void;
}

/** `--detach`: the same command line again in a session of its own, with its output in the sandbox's log. */
export async function runInBackground(options: DetachOptions, store: Store): Promise<number> {
  const tag = options.resume ?? options.tag ?? newTag(store, options.argv[0] ?? ('' as Bytes));
  // A sandbox that is run again goes on with its log; a new one has no directory yet.
  const file = options.resume === null ? pendingLog(store, tag) : joinBytes(sandboxDir(store, tag), OUTPUT);
  const log = openSync(toBuffer(file), 'a', 0o600);
  try {
    const before = fstatSync(log).size;
    const readiness = await startBackground(options.self, { ...options.context.env, [BACKGROUND]: `${tag}${options.network.person ? ATTENDED : ''}` }, log);
    if (readiness.ready) {
      options.onDetached(readiness.tag);
      return 0;
    }
    // It said why, where nobody looks. What stood there is the agent's output, of an earlier run.
    for (const line of readFileSync(toBuffer(file)).subarray(before).toString('utf8').trimEnd().split('\n')) options.say(line);
    return readiness.status;
  } finally {
    closeSync(log);
    if (options.resume === null) rmSync(toBuffer(file), { force: true });
  }
}

function pendingLog(store: Store, tag: string): Bytes {
  return joinBytes(store.dir, fromText(`.output-${checkTag(tag)}`));
}

/** A start that fails leaves its log where the waiting command reads it. */
export function adoptLog(store: Store, tag: string): void {
  const pending = toBuffer(pendingLog(store, tag));
  if (existsSync(pending)) renameSync(pending, toBuffer(joinBytes(sandboxDir(store, tag), OUTPUT)));
}

/** Tells the waiting command that the agent runs. */
export function report(tag: string): void {
  writeSync(REPORT_FD, encodeFrame({ tag }));
  closeSync(REPORT_FD);
}
