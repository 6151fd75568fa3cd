import type { Bytes } from '../bytes.js';

/** What a tar entry says of a file. The `tar` package encodes names as UTF-8; ours are bytes. */
export interface TarEntry {
  /** relative, without `.` or `..`; a directory's has no slash at the end */
  readonly path: Bytes;
  readonly type: 'file' | 'dir' | 'symlink' | 'link';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** seconds */
  readonly mtime: number;
  /** target of a symlink, or path of the first name for a further hard link; '' for others */
  readonly link: Bytes;
}

const BLOCK = 512;
const TYPE = { file: '0', link: '1', symlink: '2', dir: '5' } as const;
const LONGEST_NAME = 100;
const MOST_OCTAL = 0o7777777;
const BIGGEST = 0o77777777777;

/** The header block, after a pax header when something does not fit into it. */
export function tarHeader(entry: TarEntry): Buffer {
  const path = entry.type === 'dir' ? `${entry.path}/` : entry.path;
  const pax = paxRecords(path, entry);
  if (pax.length === 0) return block(path, entry, TYPE[entry.type]);
  const helper: TarEntry = { ...entry, mode: 0o644, size: pax.length, link: '' as Bytes };
  return Buffer.concat([block('PaxHeader', helper, 'x'), pax, padding(pax.length), block(path, entry, TYPE[entry.type])]);
}

/** Fills the last block of a content. */
export function padding(size: number): Buffer {
  return Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
}

/** The end of an archive. */
export function tarEnd(): Buffer {
  return Buffer.alloc(2 * BLOCK);
}

function paxRecords(path: string, entry: TarEntry): Buffer {
  const records: string[] = [];
  if (path.length > LONGEST_NAME) records.push(record('path', path));
  if (entry.link.length > LONGEST_NAME) records.push(record('linkpath', entry.link));
  if (entry.size > BIGGEST) records.push(record('size', String(entry.size)));
  if (entry.uid > MOST_OCTAL) records.push(record('uid', String(entry.uid)));
  if (entry.mtime > BIGGEST || entry.mtime < 0) records.push(record('mtime', String(entry.mtime)));
  if (entry.gid > MOST_OCTAL) records.push(record('gid', String(entry.gid)));
  return Buffer.from(records.join(''), 'latin1');
}

/** `LENGTH key=value\n`, where the length counts itself. */
function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}

function block(path: string, entry: TarEntry, type: string): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(path.slice(0, LONGEST_NAME), 0, 'latin1');
  octal(header, 100, 8, entry.mode);
  octal(header, 108, 8, Math.min(entry.uid, MOST_OCTAL));
  octal(header, 116, 8, Math.min(entry.gid, MOST_OCTAL));
  octal(header, 124, 12, entry.type === 'file' || type === 'x' ? Math.min(entry.size, BIGGEST) : 0);
  octal(header, 136, 12, Math.min(Math.max(0, entry.mtime), BIGGEST));
  header.write('        ', 148, 'latin1');
  header.write(type, 156, 'latin1');
  header.write(entry.link.slice(0, LONGEST_NAME), 157, 'latin1');
  header.write('ustar\x0000', 257, 'latin1');
  octal(header, 148, 7, header.reduce((sum, byte) => sum + byte, 0));
  return header;
}

function octal(header: Buffer, at: number, width: number, value: number): void {
  header.write(`${value.toString(8).padStart(width - 1, '0')}\0`, at, 'latin1');
}
