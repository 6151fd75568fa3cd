import { constants } from 'node:os';
import { isWithin, joinBytes, toText, type Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { hostFacts } from '../kernel/facts.js';
import { hostMoved } from './moved.js';
import { hiddenProgram } from './program.js';
import type { Layer, SandboxRecord } from './sandbox.js';
import type { Outcome } from './supervise.js';
import { shellWord } from '../shell-word.js';

/** When the gate ends the tree, its own reason says more than the driver's that it has ended. */
export function whyEnded({ failure, started, exit, status }: Outcome, broken: AgentfwError | null, { env }: Context, record: SandboxRecord): AgentfwError | null {
  if (broken !== null && broken.code !== 'AFW_GATE') return broken;
  if (failure === null) return broken ?? (started || exit !== null ? null : wordless(status));
  const closed = failure.code === 'cwd' ? closedInside(record) : null;
  if (closed !== null) return driverError({ ...failure, hint: `The agent took away its own access there (chmod); agentfw discard --tag ${record.tag} -- ${shellWord(toText(closed))} gives up what changed there` });
  if (isOccupied(failure, record)) return driverError({ ...failure, hint: `An earlier run of ${record.tag} changed what lies there: see agentfw diff ${record.tag}; agentfw discard --tag ${record.tag} -- PATH gives it up` });
  if (failure.hint === null && hostMoved({ failure, started })) return driverError({ ...failure, hint: 'It came or went on the host while the sandbox was started: try again' });
  const hidden = failure.exit === 125 ? null : hiddenProgram(record, env['PATH'] ?? '');
  return driverError(hidden === null ? failure : { ...failure, hint: `It is hidden (${hidden.why}): agentfw policy explain path ${shellWord(toText(hidden.path))}` });
}

/** Who sends these wants the end of the run, and knows. */
const MEANT: ReadonlySet<string> = new Set(['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM']);

/** The driver didn't come to say anything: something ended it, or it can't run here. */
function wordless(status: number): AgentfwError | null {
  const signal = Object.entries(constants.signals).find(([, number]) => number === status - 128)?.[0];
  if (signal !== undefined && MEANT.has(signal)) return null;
  return new AgentfwError('AFW_DRIVER_ENDED', `The driver ended before the agent began, ${signal === undefined ? `with status ${status}` : `by ${signal}`}.`, {
    status: 125,
    hint: signal === 'SIGSYS' ? 'A system call filter around this ends it: agentfw doctor, and docs/howto.md for containers' : 'Try again; agentfw doctor tells what a run needs',
  });
}

/** The working directory, or the one above it, that an earlier run took from itself; null where the host's own modes keep it out. */
function closedInside({ cwd, layers }: SandboxRecord): Bytes | null {
  const layer = layers.filter(({ base }) => isWithin(cwd, base)).reduce<Layer | null>((best, one) => (best !== null && isWithin(best.base, one.base) ? best : one), null);
  if (layer === null) return null;
  const upper = joinBytes(layer.dir, 'upper' as Bytes);
  const below = cwd.slice(layer.base === '/' ? 1 : layer.base.length + 1).split('/').filter((name) => name !== '');
  const dirs = below.map((_, i) => below.slice(0, i + 1).join('/') as Bytes);
  const closed = dirs.find((dir) => ((hostFacts.lstat(joinBytes(upper, dir))?.mode ?? 0o100) & 0o100) === 0);
  return closed === undefined ? null : joinBytes(layer.base, closed);
}

/** What is handed in, let through or hidden has its place in the view, which an earlier run may have taken away. What fails on the host's own side is the host's. */
function isOccupied(failure: NonNullable<Outcome['failure']>, { created, started }: SandboxRecord): boolean {
  return created !== started && failure.code === 'mount' && failure.hint === null && /^can't (find|mount at) /s.test(failure.message);
}

/** The kernel ends it without a word. */
export function endLines({ exit }: Outcome): readonly string[] {
  const isForeign = exit !== null && 'signal' in exit && exit.signal === constants.signals.SIGSYS;
  return isForeign ? ['agentfw: SIGSYS ended the agent, as it does programs of 32 bits: they do not run in a sandbox'] : [];
}

/** `AFW_DRIVER_` and the driver's own word, with its message and its exit status (docs/driver-protocol.md). */
export function driverError({ exit, code, message, hint }: NonNullable<Outcome['failure']>): AgentfwError {
  const text = /[.!?]$/.test(message) ? message : `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  const word = code.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
  const told = code === 'net' && hint !== null ? `${hint}. Without the gate: --net off, or --net allow for the host’s own network` : hint;
  return new AgentfwError(`AFW_DRIVER_${word}`, text, told === null ? { status: exit } : { status: exit, hint: told });
}
