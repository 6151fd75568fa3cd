import type { Ended, Glance } from '../changes/ended.js';
import { countsText } from './changes.js';
import { escapeForTerminal, showBytes } from './escape.js';
import type { LeftLink } from '../sandbox/left-links.js';
import type { SandboxRecord } from '../sandbox/sandbox.js';
import { plural } from './table.js';

/** What is left to tell when a run has ended. */
export interface AfterRun {
  /** `--rm`; of a sandbox that was there before, it may take the work of earlier runs along */
  readonly removed: false | 'fresh' | 'resumed';
  readonly links: readonly LeftLink[];
  /** how a command names the sandbox where the user is, see `sayTag` */
  readonly said: string;
}

/** What the user should know when the agent is done: at most four lines. */
export function afterRun(record: SandboxRecord, ended: Ended, left: Glance, { removed, links, said }: AfterRun): string[] {
  const { tag } = record;
  const done = [doneText(record, ended, removed !== false), linksText(links)].filter((part) => part !== '').join('; ');
  const rest = removed === false ? leftText({ tag, said }, ended, left) : removed === 'fresh' || isEmpty(left) ? [] : [`discarded ${tag}: ${howMany(left)}`];
  return [...(done === '' ? [] : [`agentfw: ${done}`]), ...rest.map((line) => `agentfw: ${line}`)];
}

/** Nothing changed. */
export function isEmpty({ kinds }: Glance): boolean {
  return Object.values(kinds).every((count) => count === 0);
}

/** What reached the host already, or was dropped. */
function doneText(record: SandboxRecord, { landed, dropped, commit, failed }: Ended, removed: boolean): string {
  const parts = [
    failed === null ? null : `nothing landed by policy: ${escapeForTerminal(failed)}`,
    landed === 0 || commit === null ? null : `landed ${plural(landed, 'change')} by policy (agentfw undo ${commit} takes ${dropped > 0 && !removed ? 'all of it' : landed === 1 ? 'it' : 'them'} back)`,
    dropped === 0 ? null : `dropped ${plural(dropped, 'change')} by policy${landed > 0 || removed || commit === null ? '' : ` (agentfw undo ${commit} gives them back to the sandbox)`}`,
  ].filter((part) => part !== null);
  const done = parts.join(', ');
  const through = record.mounts.filter(({ decision, why }) => decision === 'passthrough' && !why.startsWith('the profile')).map(({ path }) => showBytes(path));
  return [done, ...(through.length === 0 ? [] : [`writes in ${through.join(', ')} went to the host`])].filter((part) => part !== '').join('; ');
}

const LINKS_TOLD = 2;

function linksText(links: readonly LeftLink[]): string {
  if (links.length === 0) return '';
  const told = links.slice(0, LINKS_TOLD).map(({ path, target }) => `${showBytes(path)} -> ${showBytes(target)}`).join(', ');
  const more = links.length > LINKS_TOLD ? ` and ${links.length - LINKS_TOLD} more` : '';
  return `new on the host, and leading elsewhere: ${told}${more}`;
}

function leftText({ tag, said }: { readonly tag: string; readonly said: string }, { held, landed, dropped }: Ended, left: Glance): string[] {
  if (isEmpty(left)) return landed + dropped > 0 ? [] : [`no changes in ${tag}`];
  const { classes } = left;
  const risks = [
    classes.control === 0 ? null : `${howManyOf(classes.control, left)} would take effect on the host at once`,
    classes.later === 0 ? null : `${howManyOf(classes.later, left)} would run code later`,
  ].filter((risk) => risk !== null);
  const why = held === null ? '' : `; waiting, because ${escapeForTerminal(held)}`;
  return [
    `${howMany(left)} in ${tag}${why}`,
    ...(risks.length === 0 ? [] : [risks.join(', ')]),
    `look with agentfw diff ${said}; then agentfw commit ${said} or agentfw discard ${said}`,
  ];
}

function howManyOf(count: number, { more }: Glance): string {
  return `${more ? 'at least ' : ''}${plural(count, 'change')}`;
}

function howMany({ kinds, more }: Glance): string {
  if (!more) return countsText(kinds);
  // Of which kinds they are is chance: only the first of them were looked at.
  return `more than ${Object.values(kinds).reduce((sum, count) => sum + count, 0)} changes`;
}
