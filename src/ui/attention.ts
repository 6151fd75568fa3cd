import { closeSync, openSync, writeSync } from 'node:fs';
import { hasOwnTerminal } from '../kernel/process.js';
import type { Question } from '../gate/ask.js';

const BELL = '\u0007';
/** xterm keeps titles on a stack; others ignore it. */
const PUSH = '\u001b[22;2t';
const POP = '\u001b[23;2t';

/**
 * Draws the user's attention to questions while an agent has the terminal: a
 * bell for each new one and the window's title, nothing else.
 */
export function attention(): (open: readonly Question[]) => void {
  let known = new Set<string>();
  let titled = false;
  return (open) => {
    const waiting = open.filter((question) => question.waiting > 0 || !known.has(question.id));
    const fresh = open.some(({ id }) => !known.has(id));
    known = new Set(open.map(({ id }) => id));
    const last = waiting.at(-1);
    let text = fresh ? BELL : '';
    if (last !== undefined) {
      text += `${titled ? '' : PUSH}\u001b]2;agentfw asks: ${plain(last.rule)} - agentfw approve ${plain(last.id)}${BELL}`;
      titled = true;
    } else if (titled) {
      text += POP;
      titled = false;
    }
    if (text !== '') toTerminal(text);
  };
}

/** Says a line where nobody else writes; else a bell and the window's title. */
export function warning(say: (line: string) => void): (text: string) => void {
  return (text) => {
    if (hasOwnTerminal()) toTerminal(`${PUSH}\u001b]2;${text.slice(0, 120).replace(/[^\x20-\x7e]/g, '?')}${BELL}${BELL}`);
    else say(text);
  };
}

function plain(text: string): string {
  return text.slice(0, 80).replace(/[^\x21-\x7e]/g, '?');
}

/** Not stderr, which may be a file. Without a terminal nobody is there to ask. */
function toTerminal(text: string): void {
  try {
    const fd = openSync('/dev/tty', 'w');
    try {
      writeSync(fd, text);
    } finally {
      closeSync(fd);
    }
  } catch {
    return;
  }
}
