import { closeSync, openSync, readlinkSync, readSync } from 'node:fs';
import type { AuditSubject } from '../audit/event.js';

/** A command line may be megabytes long, for each of a thousand connections: more than a record shows is not read. */
const MAX_CMDLINE = 32 * 1024;
const MAX_WORDS = 64;
/** Of each text in a list of questions: a person reads a line of it. */
const MAX_BRIEF = 512;

/** What /proc says of a process on the host; fields that can't be read are null. The process chose its argv. */
export function subjectOf(pid: number, proc = '/proc'): AuditSubject {
  const read = <T>(get: () => T): T | null => {
    try {
      return get();
    } catch {
      return null;
    }
  };
  const argv = read(() => startOf(`${proc}/${pid}/cmdline`));
  return {
    pid,
    exe: read(() => readlinkSync(`${proc}/${pid}/exe`)),
    argv: argv === null ? null : argvOf(argv),
    cwd: read(() => readlinkSync(`${proc}/${pid}/cwd`)),
  };
}

function startOf(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(MAX_CMDLINE);
    let length = 0;
    for (let count = -1; count !== 0; length += count) count = readSync(fd, buffer, length, buffer.length - length, null);
    const text = buffer.toString('utf8', 0, length);
    return length < MAX_CMDLINE ? text : `${text}\0…\0`;
  } finally {
    closeSync(fd);
  }
}

/** A process's `cmdline`; more than 64 words are more than a record is for. */
export function argvOf(cmdline: string): string[] {
  return cmdline.split('\0').slice(0, -1).slice(0, MAX_WORDS);
}

/** For a list of questions: thousands may be open. */
export function briefly(subject: AuditSubject | null): AuditSubject | null {
  if (subject === null) return null;
  const { pid, exe, argv, cwd } = subject;
  const cut = (text: string | null): string | null => (text === null ? null : cutTo(text, MAX_BRIEF));
  return { pid, exe: cut(exe), argv: argv === null ? null : shortly(argv), cwd: cut(cwd) };
}

function shortly(argv: readonly string[]): string[] {
  const words: string[] = [];
  let room = MAX_BRIEF;
  for (const word of argv) {
    if (room <= 0) return [...words, '…'];
    words.push(cutTo(word, room));
    room -= word.length + 1;
  }
  return words;
}

function cutTo(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
