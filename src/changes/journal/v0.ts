import { constants, readFileSync } from 'node:fs';
import type { Bytes } from '../../bytes.js';
import { bytesField, FieldError, listField, numberField, objectField, textField, wordField, type Fields } from '../../fields.js';
import type { Fd } from '../../kernel/kernel.js';
import { readAt } from '../apply/disk.js';
import type { Journal } from './form.js';
import type { Ident, Place, Root, Step } from '../plan/step.js';

/**
 * The journal of early builds, version 0: one JSON object, written only when
 * a commit was finished. It is read so that its commit can be listed and undone.
 */
export function isVersion0(fd: Fd): boolean {
  // A record of today may begin with the same byte: its length. But no record is so long that the fourth is text.
  const head = readAt(fd, 0, 4);
  return head.length === 4 && head[0] === 0x7b && (head[3] ?? 0) >= 0x20;
}

const FMT = { file: constants.S_IFREG, dir: constants.S_IFDIR, symlink: constants.S_IFLNK } as const;

/** A journal in one JSON object, of versions before the records. Throws `FieldError` or `SyntaxError`. */
export function readVersion0(fd: Fd): Journal {
  const fields = objectField(JSON.parse(readFileSync(fd, 'utf8')), 'journal');
  if (numberField(fields['version'], 'version') !== 0) throw new FieldError('version', '0, which a journal in JSON has');
  const base = bytesField(fields['base'], 'base');
  const vault = bytesField(fields['vault'], 'vault');
  const steps = listField(fields['steps'], 'steps').map((value) => stepOf(objectField(value, 'step')));
  const count = (act: Step['act']): number => steps.filter((step) => step.act === act).length;
  const roots: Root[] = [
    { role: 'host', dir: base, family: 'user' },
    { role: 'layer', dir: vault, family: 'user' },
    { role: 'vault', dir: vault, family: 'user' },
  ];
  return {
    header: {
      version: 1,
      id: textField(fields['id'], 'id'),
      tag: textField(fields['tag'], 'tag'),
      created: textField(fields['created'], 'created'),
      note: null,
      digest: 'sha256:',
      counts: { add: count('place'), modify: count('swap'), delete: count('take'), type: 0, metadata: 0 },
      undoes: null,
      keepSpecial: false,
      roots,
    },
    drafts: [],
    steps,
    unmark: [],
    emptied: [],
    lends: [],
    state: 'done',
    refused: new Map(),
    end: 0,
  };
}

const KIND = { place: 'add', swap: 'modify', take: 'delete' } as const;

function stepOf(fields: Fields): Step {
  const act = wordField(fields['act'], 'act', ['place', 'swap', 'take']);
  const type = wordField(fields['type'], 'type', ['file', 'dir', 'symlink']);
  const keep: Place | null = act === 'place' ? null : { root: 2, path: bytesField(fields['keep'], 'keep') };
  return {
    act,
    kind: KIND[act],
    type,
    host: { root: 0, path: bytesField(fields['path'], 'path') as Bytes },
    from: null,
    hold: keep,
    keep,
    fresh: act === 'take' ? null : identOf(objectField(fields['fresh'], 'fresh'), FMT[type]),
    old: act === 'place' ? null : identOf(objectField(fields['old'], 'old'), FMT[type]),
    tree: type === 'dir',
    inside: 0,
    clean: null,
    covers: [],
    meta: null,
    spent: null,
    locked: null,
    link: null,
    twin: null,
    group: 0,
    stripped: [],
  };
}

function identOf(fields: Fields, fmt: number): Ident {
  return {
    ino: BigInt(textField(fields['ino'], 'ino')),
    fmt,
    size: numberField(fields['size'], 'size'),
    mtimeNs: BigInt(textField(fields['mtime'], 'mtime')),
  };
}
