import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One refusal, as the agent reads it. */
export interface Note {
  readonly time: Date;
  /** what was refused: `example.org:443`, `udp 1.2.3.4:53` */
  readonly what: string;
  readonly rule: string;
  readonly why: string;
  readonly how: string;
}

/** The file `/run/agentfw/notes`. */
export interface Notes {
  readonly add: (note: Note) => void;
  /** writes what is due now */
  readonly flush: () => void;
}

const KEPT = 50;
const PAUSE_MS = 100;
/** Written at once within one pause: what a script that tries several things can look at. */
const AT_ONCE = 10;

/**
 * The last refusals, for the agent to read: a file in a directory that is
 * bound read-only at /run/agentfw. Nothing in it that the agent did not ask
 * for itself, and only printable text: it is data, never instructions.
 */
export function makeNotes(dir: string): Notes {
  const kept: Note[] = [];
  let timer: ReturnType<typeof setTimeout> | null = null;
  let due = false;
  let written = 0;
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  const write = (): void => {
    const file = join(dir, 'notes');
    due = false;
    written += 1;
    try {
      writeFileSync(`${file}.new`, textOf(kept), { mode: 0o644 });
      renameSync(`${file}.new`, file);
    } catch {
      // A full disk, say. It is refused all the same, and stands with the next one: whether a run goes on without a record is the audit's to say.
    }
    timer ??= setTimeout(() => {
      timer = null;
      written = 0;
      if (due) write();
    }, PAUSE_MS).unref();
  };
  write();
  return {
    add: (note) => {
      kept.push(note);
      if (kept.length > KEPT) kept.shift();
      due = true;
      // A refused client may look at once: what comes first is written at once, a flood in turns.
      if (written < AT_ONCE) write();
    },
    flush: () => {
      if (due) write();
    },
  };
}

function textOf(notes: readonly Note[]): string {
  const head = '# What agentfw refused lately, newest last. Retrying the same thing gives the same answer.\n';
  return head + notes.map(({ time, what, rule, why, how }) =>
    `${time.toISOString()} ${plain(what)} [${plain(rule)}] ${plain(why)}${how === '' ? '' : ` - ${plain(how)}`}\n`).join('');
}

function plain(text: string): string {
  return text.slice(0, 400).replace(/[^\x20-\x7e]/g, '?');
}
