import { constants } from 'node:os';
import { toText } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { hiddenProgram } from './program.js';
import type { SandboxRecord } from './sandbox.js';
import type { Outcome } from './supervise.js';

/** When the gate ends the tree, its own reason says more than the driver's that it has ended. */
export function whyEnded({ failure }: Outcome, broken: AgentfwError | null, { env }: Context, record: SandboxRecord): AgentfwError | null {
  if (broken !== null && broken.code !== 'AFW_GATE') return broken;
  if (failure === null) return broken;
  const hidden = failure.exit === 125 ? null : hiddenProgram(record, env['PATH'] ?? '');
  return driverError(hidden === null ? failure : { ...failure, hint: `It is hidden (${hidden.why}): agentfw policy explain path ${toText(hidden.path)}` });
}

/** The kernel ends it without a word. */
export function endLines({ exit }: Outcome): readonly string[] {
  const isForeign = exit !== null && 'signal' in exit && exit.signal === constants.signals.SIGSYS;
  return isForeign ? ['agentfw: SIGSYS ended the agent, as it does programs of 32 bits: they do not run in a sandbox'] : [];
}

export function driverError({ exit, code, message, hint }: NonNullable<Outcome['failure']>): AgentfwError {
  const text = /[.!?]$/.test(message) ? message : `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
  const word = code.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
  const told = code === 'net' && hint !== null ? `${hint}. Without the gate: --net off, or --net allow for the host’s own network` : hint;
  return new AgentfwError(`AFW_DRIVER_${word}`, text, told === null ? { status: exit } : { status: exit, hint: told });
}
