import type { Bytes } from '../../src/bytes.js';
import { nameOf, parentOf } from '../../src/bytes.js';
import type { NameFilter } from '../../src/kernel/kernel.js';

/** What native/names.cc says of a name, written again. */
export function isOrdinary(name: Bytes, { literals, endings, pieces }: NameFilter): boolean {
  if (!/^[\x20-\x7e]*$/.test(name)) return false;
  const lower = name.toLowerCase();
  const dot = lower.lastIndexOf('.');
  return !(literals.includes(lower) || (dot >= 0 && endings.includes(lower.slice(dot))) || pieces.some((piece) => lower.includes(piece)));
}

/** As a scan tells it of a change. */
export function ordinaryIn(path: Bytes, filter: NameFilter): Bytes | undefined {
  return isOrdinary(nameOf(path), filter) ? parentOf(path) : undefined;
}
