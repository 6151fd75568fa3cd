import { ORIGIN_NAME } from '../scan/origin-mark.js';
import { ACTS, CLEANINGS, KINDS, NO_FORMAT, ORIGIN, PLACE, TYPES, WORDS, type Columns } from './columns.js';
import { oldDir, WAYS } from './place-paths.js';
import { cleaningText } from './step.js';

const CLEANING_TEXTS = CLEANINGS.map(cleaningText);
const NO_TREE = '0';
/** No spent entry; no covers, no metadata, no lent modes, no other name. */
const [NO_SPENT, NO_MORE] = ['\0\0', '0\0-\0\0'];

/** What `encodeStep` says of the step that a row stands for, without making it: there may be a million. */
export function plainText(rows: Columns, index: number): string {
  const { words, roots, paths, groups, taken } = rows;
  const at = WORDS * index;
  const [root, path] = [roots[index] as number, paths[index] as string];
  const place = (part: number): string => placeText(words[at + part] as number, { root, path, taken: taken[index] as number });
  const fixed = `${ACTS[words[at] as number]}\0${KINDS[words[at + 1] as number]}\0${TYPES[words[at + 2] as number]}\0${NO_TREE}\0${groups[index]}\0\0`;
  const places = `${root}\0${path}\0${place(PLACE.from)}${place(PLACE.hold)}${place(PLACE.keep)}`;
  const cleaning = words[at + 3] === ORIGIN ? originText(rows.origins[index] as string) : CLEANING_TEXTS[words[at + 3] as number];
  return `${fixed}${places}${identText(rows, 2 * index)}${identText(rows, 2 * index + 1)}${NO_SPENT}${cleaning}${NO_MORE}`;
}

interface Whereabouts {
  readonly root: number;
  readonly path: string;
  readonly taken: number;
}

function placeText(way: number, { root, path, taken }: Whereabouts): string {
  if (way === WAYS.none) return '\0\0';
  if (way === WAYS.layer) return `${root + 1}\0${path}\0`;
  if (way === WAYS.taken) return `${root + 2}\0taken/${taken}\0`;
  return `${way === WAYS.old ? root + 2 : root + 1}\0${oldDir(root)}${path === '' ? '' : '/'}${path}\0`;
}

function originText(value: string): string {
  return `0 0 1\0\0${ORIGIN_NAME}\0${Buffer.from(value, 'latin1').toString('hex')}\0`;
}

function identText({ inodes, formats, sizes, stamps }: Columns, at: number): string {
  if (formats[at] === NO_FORMAT) return '\0';
  return `${inodes[at]} ${formats[at]} ${sizes[at]} ${stamps[at]}\0`;
}
