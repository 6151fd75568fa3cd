import type { JudgedChange } from '../changes/change.js';
import { orderChanges } from '../changes/scan/order.js';
import type { Offer } from '../changes/offer.js';
import { changeLine, classHeading, countsText } from './changes.js';
import { escapeForTerminal, showBytes } from './escape.js';
import type { Printer } from './print.js';
import { bytesJson, listJson } from './record.js';
import { plural } from './table.js';

/** How many ordinary changes are listed by name; risky ones and deletions always are. */
const MOST_LISTED = 40;

/** What is about to land, before the question. */
export function sayOffer(printer: Printer, offer: Offer): void {
  const refused = new Map(offer.plan.refused.map((entry) => [entry.path, entry]));
  const dropped = new Set(offer.dropped.map(({ path }) => path));
  const landing = orderChanges(offer.selected.filter(({ path }) => !refused.has(path) && !dropped.has(path)));
  sayClasses(printer, landing);
  sayDropped(printer, offer.dropped);
  for (const path of offer.added) printer.say(`${showBytes(path)} comes along: something named needs it`);
  for (const { path, text } of refused.values()) {
    printer.say(`${printer.paintErr('red', 'will not land')} ${showBytes(path)}: ${escapeForTerminal(text)}`);
  }
  sayMerges(printer, offer.merges);
  if (offer.withheld.length > 0) sayWithheld(printer, offer.withheld);
  printer.say(`${countsText(offer.plan.counts)}, digest ${offer.digest}`);
}

function sayClasses(printer: Printer, changes: readonly JudgedChange[]): void {
  for (const name of ['control', 'later', 'normal'] as const) {
    const members = changes.filter((change) => change.class === name);
    if (members.length === 0) continue;
    printer.say(`${printer.paintErr('bold', classHeading(name, members.length))}:`);
    list(printer, members, (change, index) => name === 'normal' && change.kind !== 'delete' && index >= MOST_LISTED);
  }
}

/** What the sandbox loses although nothing lands. */
function sayDropped(printer: Printer, dropped: readonly JudgedChange[]): void {
  if (dropped.length === 0) return;
  printer.say(`${printer.paintErr('bold', `Dropped from the sandbox, the host stays as it is there: ${plural(dropped.length, 'change')}`)}:`);
  list(printer, dropped, (_change, index) => index >= MOST_LISTED);
}

function list(printer: Printer, changes: readonly JudgedChange[], isLeftOut: (change: JudgedChange, index: number) => boolean): void {
  let unlisted = 0;
  for (const [index, change] of changes.entries()) {
    if (isLeftOut(change, index)) unlisted += 1;
    else printer.say(`  ${changeLine(change, printer.paintErr)}`);
  }
  if (unlisted > 0) printer.say(`  and ${plural(unlisted, 'more change')}: agentfw diff lists them`);
}

/** What came of `--merge`, file by file. */
export function sayMerges(printer: Printer, notes: Offer['merges']): void {
  for (const { path, outcome, why } of notes) {
    const words = { clean: 'merged', markers: 'merged with conflict markers', conflicts: 'not merged: both sides changed the same lines', refused: 'not merged' }[outcome];
    printer.say(`${words} ${showBytes(path)}${why === null ? '' : `: ${why}`}`);
  }
}

/** Held back, with the words that would let them land. */
export function sayWithheld(printer: Printer, withheld: readonly JudgedChange[]): void {
  printer.say(`${printer.paintErr('yellow', 'Held back')}: ${classHeading('control', withheld.length)}`);
  for (const change of withheld) printer.say(`  ${changeLine(change, printer.paintErr)}`);
  printer.say('  Look at them, then name them: --accept-control PATH');
}

/** The part of `commit --json` that says what was or would be landed. */
export function offerJson({ digest, withheld, added, plan, merges }: Offer): Record<string, unknown> {
  return {
    ...{ digest, counts: plan.counts },
    withheld: withheld.map(({ path, reason }) => ({ ...bytesJson('path', path), reason })),
    ...listJson('added', added),
    merges: merges.map(({ path, outcome, why }) => ({ ...bytesJson('path', path), outcome, why })),
  };
}
