import { AgentfwError } from '../errors.js';
import { readMountinfo } from '../kernel/facts.js';
import { parseMountinfo } from '../view/mountinfo.js';
import { MARKER } from '../view/private.js';

/** A mount says so, which nothing inside can make or remove; a variable could be set and unset. */
export function isInside(): boolean {
  return parseMountinfo(readMountinfo()).some((mount) => mount.point === MARKER);
}

/** Refuses a run inside a run: a second view over the first would be half of one. */
export function refuseNested(): void {
  if (!isInside()) return;
  throw new AgentfwError('AFW_NESTED', "agentfw run can’t be used inside a sandbox.", {
    status: 125,
    hint: 'The agent is already confined: start the program directly',
  });
}

/** What decides over a sandbox is not for those in one. */
export function refuseInside(command: string): void {
  if (!isInside()) return;
  throw new AgentfwError('AFW_NESTED', `agentfw ${command} can’t be used inside a sandbox.`, {
    hint: 'Run it from a terminal outside the sandbox',
  });
}
