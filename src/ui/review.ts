import type { Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import type { Printer } from './print.js';
import { confirm } from './confirm.js';
import { changeLine } from './changes.js';
import { viewOf, type PatchView } from './patch.js';

/** Asks for each change that takes effect by itself, showing it first; the paths that were accepted. */
export async function askControl(printer: Printer, withheld: readonly JudgedChange[], view: Omit<PatchView, 'screen' | 'paint'>): Promise<readonly Bytes[]> {
  const accepted: Bytes[] = [];
  for (const change of withheld) {
    for (const piece of viewOf(change, { ...view, screen: true, paint: printer.paintErr })) printer.say(piece.toString().trimEnd());
    if (await confirm(printer, `Let this land, although it takes effect by itself (${change.reason ?? 'control'})?`)) accepted.push(change.path);
    else printer.say(`Held back: ${changeLine(change, printer.paintErr)}`);
  }
  return accepted;
}
