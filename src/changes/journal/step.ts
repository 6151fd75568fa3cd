import type { Bytes } from '../../bytes.js';
import type { Xattr } from '../../kernel/kernel.js';
import type { ChangeKind, FileType } from '../change.js';
import { ORIGIN_NAME, OriginMark } from '../scan/origin-mark.js';
import type { Act, Cleaning, Covered, Ident, Meta, Place, Step } from '../plan/step.js';

/** Fields end with NUL, which no path can hold. Values of xattrs are hexadecimal. */
export function encodeStep(step: Step): string {
  const { kind, type, tree, group, stripped } = step;
  const fixed = `${actText(step)}\0${kind}\0${type}\0${tree ? step.inside + 1 : 0}\0${group}\0${stripped.join(' ')}\0`;
  const places = `${place(step.host)}${place(step.from)}${place(step.hold)}${place(step.keep)}`;
  return `${fixed}${places}${ident(step.fresh)}${ident(step.old)}${spent(step)}${cleaningText(step.clean)}${covers(step.covers)}${metas(step)}${lockedText(step)}${otherName(step)}`;
}

/** Steps with another name on the host say so in front, and have it at the end: the others are as they ever were. */
function actText({ act, link, twin }: Step): string {
  return link !== null ? `${act}+link` : twin !== null ? `${act}+twin` : act;
}

function otherName({ link, twin }: Step): string {
  const other = link ?? twin;
  return other === null ? '' : place(other);
}

function place(at: Place | null): string {
  return at === null ? '\0\0' : `${at.root}\0${at.path}\0`;
}

function ident(of: Ident | null): string {
  return of === null ? '\0' : `${of.ino} ${of.fmt} ${of.size} ${of.mtimeNs}\0`;
}

function spent({ spent: of }: Step): string {
  return of === null ? `${place(null)}` : `${place(of.at)}${place(of.keep)}${of.ino}\0`;
}

/** What it says of how the new object is cleaned. */
export function cleaningText(clean: Cleaning | null): string {
  if (clean === null) return '-\0';
  // Its value is a string already.
  if (clean instanceof OriginMark) return `0 0 1\0\0${ORIGIN_NAME}\0${Buffer.from(clean.value, 'latin1').toString('hex')}\0`;
  const { whiteouts, modes, marks } = clean;
  return (
    `${whiteouts.length} ${modes.length} ${marks.length}\0` +
    whiteouts.map((path) => `${path}\0`).join('') +
    modes.map(({ path, from, to }) => `${path}\0${from} ${to}\0`).join('') +
    marks.map(({ path, name, value }) => `${path}\0${name}\0${value.toString('hex')}\0`).join('')
  );
}

function covers(list: readonly Covered[]): string {
  return `${list.length}\0${list.map((covered) => `${covered.path}\0${ident(covered.ident)}`).join('')}`;
}

function metas({ meta }: Step): string {
  return meta === null ? '-\0' : `+\0${metaText(meta.old)}${metaText(meta.fresh)}`;
}

function lockedText({ locked }: Step): string {
  return locked === null ? '\0' : `${locked.fresh ?? ''} ${locked.old ?? ''}\0`;
}

function metaText({ mode, uid, gid, xattrs }: Meta): string {
  const pairs = xattrs.map(({ name, value }) => `${name}\0${value.toString('hex')}\0`).join('');
  return `${mode} ${uid} ${gid} ${xattrs.length}\0${pairs}`;
}

/** Reads fields in the order they were written. */
interface Reader {
  readonly fields: readonly string[];
  at: number;
}

/** The steps of one record. Its checksum was right, so a wrong field is a bug and throws. */
export function decodeSteps(body: string): Step[] {
  const fields = body.split('\0');
  // What follows the last NUL is empty.
  const reader: Reader = { fields, at: 0 };
  const steps: Step[] = [];
  while (reader.at < fields.length - 1) steps.push(decodeStep(reader));
  return steps;
}

function next(reader: Reader): string {
  const field = reader.fields[reader.at];
  if (field === undefined) throw new Error('a journal record ends within a step');
  reader.at += 1;
  return field;
}

function decodeStep(reader: Reader): Step {
  const [act = '', other] = next(reader).split('+');
  const [kind, type] = [next(reader) as ChangeKind, next(reader) as FileType];
  const tree = Number(next(reader));
  return {
    // No spread: of 150,000 steps it took five times as long as all the rest.
    act: act as Act,
    kind,
    type,
    tree: tree > 0,
    inside: Math.max(tree - 1, 0),
    group: Number(next(reader)),
    stripped: next(reader).split(' ').filter((word) => word !== ''),
    host: requiredPlace(reader),
    from: placeIn(reader),
    hold: placeIn(reader),
    keep: placeIn(reader),
    fresh: identIn(reader),
    old: identIn(reader),
    spent: spentIn(reader),
    clean: cleaningIn(reader),
    covers: listIn(Number(next(reader)), () => ({ path: ownText(next(reader)), ident: identIn(reader) as Ident })),
    meta: next(reader) === '-' ? null : { old: metaIn(reader), fresh: metaIn(reader) },
    locked: lockedIn(reader),
    link: other === 'link' ? requiredPlace(reader) : null,
    twin: other === 'twin' ? requiredPlace(reader) : null,
  };
}

function placeIn(reader: Reader): Place | null {
  const root = next(reader);
  const path = ownText(next(reader));
  return root === '' ? null : { root: Number(root), path };
}

/** What was cut out of a record would keep all of it in memory. */
function ownText(field: string): Bytes {
  return Buffer.from(field, 'latin1').toString('latin1') as Bytes;
}

function requiredPlace(reader: Reader): Place {
  const at = placeIn(reader);
  if (at === null) throw new Error('a journal step has no target');
  return at;
}

function identIn(reader: Reader): Ident | null {
  const field = next(reader);
  if (field === '') return null;
  const [ino = '', fmt, size, mtime = ''] = field.split(' ');
  return { ino: BigInt(ino), fmt: Number(fmt), size: Number(size), mtimeNs: BigInt(mtime) };
}

function spentIn(reader: Reader): Step['spent'] {
  const at = placeIn(reader);
  if (at === null) return null;
  return { at, keep: placeIn(reader), ino: BigInt(next(reader)) };
}

function cleaningIn(reader: Reader): Cleaning | null {
  const counts = next(reader);
  if (counts === '-') return null;
  const [whiteouts = 0, modes = 0, marks = 0] = counts.split(' ').map(Number);
  return {
    whiteouts: listIn(whiteouts, () => next(reader) as Bytes),
    modes: listIn(modes, () => {
      const path = next(reader) as Bytes;
      const [from = 0, to = 0] = next(reader).split(' ').map(Number);
      return { path, from, to };
    }),
    marks: listIn(marks, () => ({ path: next(reader) as Bytes, name: next(reader) as Bytes, value: hexIn(reader) })),
  };
}

function lockedIn(reader: Reader): Step['locked'] {
  const field = next(reader);
  if (field === '') return null;
  const [fresh = '', old = ''] = field.split(' ');
  const mode = (word: string): number | null => (word === '' ? null : Number(word));
  return { fresh: mode(fresh), old: mode(old) };
}

function metaIn(reader: Reader): Meta {
  const [mode = 0, uid = 0, gid = 0, count = 0] = next(reader).split(' ').map(Number);
  const xattrs: Xattr[] = listIn(count, () => ({ name: next(reader) as Bytes, value: hexIn(reader) }));
  return { mode, uid, gid, xattrs };
}

function hexIn(reader: Reader): Buffer {
  return Buffer.from(next(reader), 'hex');
}

function listIn<T>(count: number, one: () => T): T[] {
  return Array.from({ length: count }, one);
}
