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
  throw new AgentfwError('AFW_NESTED', "Can't run inside a sandbox of agentfw.", {
    status: 125,
    hint: 'The agent is confined already: start the program itself',
  });
}

/** What decides over a sandbox is not for those in one. */
export function refuseInside(command: string): void {
  if (!isInside()) return;
  throw new AgentfwError('AFW_NESTED', `Can't run agentfw ${command} inside a sandbox of agentfw.`, {
    hint: 'Decide from a terminal outside',
  });
}
