import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { errnoOf } from '../errors.js';
import { hasOwnTerminal } from '../kernel/process.js';
import type { Question } from '../gate/ask.js';

const BELL = '\u0007';
/** xterm keeps titles on a stack; others ignore it. */
const PUSH = '\u001b[22;2t';
const POP = '\u001b[23;2t';
/** A terminal that took nothing, as after Ctrl-S, is tried again so often. */
const AGAIN_MS = 250;
const MAX_RULE = 80;

/**
 * Draws the user's attention to questions while an agent has the terminal: a
 * bell for each new one and the window's title, nothing else. What the terminal
 * doesn't take at once is drawn later, as things are then.
 */
export function attention(write: (text: string) => boolean = terminalWriter()): (open: readonly Question[]) => void {
  let known = new Set<string>();
  let shown: string | null = null;
  let wanted: string | null = null;
  let ring = false;
  const draw = (): boolean => {
    if (!ring && wanted === shown) return true;
    const title = wanted === null ? (shown === null ? '' : POP) : `${shown === null ? PUSH : ''}${titleOf(wanted)}`;
    if (!write(`${ring ? BELL : ''}${title}`)) return false;
    [shown, ring] = [wanted, false];
    return true;
  };
  const drawSoon = untilDone(draw);
  return (open) => {
    const waiting = open.filter((question) => question.waiting > 0 || !known.has(question.id));
    ring ||= open.some(({ id }) => !known.has(id));
    known = new Set(open.map(({ id }) => id));
    const last = waiting.at(-1);
    wanted = last === undefined ? null : `agentfw asks: ${endOf(plain(last.rule))} - agentfw approve ${plain(last.id)}`;
    drawSoon();
  };
}

/** Says a line where nobody else writes; else a bell and the window's title. */
export function warning(say: (line: string) => void): (text: string) => void {
  const write = terminalWriter();
  return (text) => {
    if (hasOwnTerminal()) untilDone(() => write(`${PUSH}${titleOf(text.slice(0, 120).replace(/[^\x20-\x7e]/g, '?'))}${BELL}`))();
    else say(text);
  };
}

function titleOf(text: string): string {
  return `\u001b]2;${text}${BELL}`;
}

function plain(text: string): string {
  return text.replace(/[^\x21-\x7e]/g, '?');
}

/** Whose a long name is, its end says. */
function endOf(rule: string): string {
  return rule.length > MAX_RULE ? `...${rule.slice(3 - MAX_RULE)}` : rule;
}

/** Acts, and again until it says that all is done: one attempt at a time, the last one when the process ends. */
function untilDone(act: () => boolean): () => void {
  let timer: NodeJS.Timeout | null = null;
  const again = (): void => {
    timer = null;
    attempt();
  };
  const attempt = (): void => {
    if (timer !== null) return;
    if (act()) process.off('exit', act);
    else {
      timer = setTimeout(again, AGAIN_MS).unref();
      if (!process.listeners('exit').includes(act)) process.on('exit', act);
    }
  };
  return attempt;
}

/**
 * Writes to the terminal without waiting for it: whoever waits for one that Ctrl-S holds, or that
 * nobody reads, decides nothing meanwhile. False: it took nothing of the text. Of what it
 * has begun to take the rest comes first. Not stderr, which may be a file. Without a terminal nobody is there to ask.
 */
function terminalWriter(open: () => number = openTerminal): (text: string) => boolean {
  let rest = '';
  return (text) => {
    try {
      const fd = open();
      try {
        rest = rest.slice(writeNow(fd, rest));
        if (rest !== '') return false;
        const taken = writeNow(fd, text);
        if (taken > 0) rest = text.slice(taken);
        return taken > 0;
      } finally {
        closeSync(fd);
      }
    } catch {
      return true;
    }
  };
}

function openTerminal(): number {
  return openSync('/dev/tty', constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
}

/** How much of an ASCII text it took. */
function writeNow(fd: number, text: string): number {
  try {
    return text === '' ? 0 : writeSync(fd, text);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return 0;
    throw error;
  }
}
