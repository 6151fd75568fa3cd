import { onQuitKey } from './confirm.js';
import type { Checklist, CheckLine } from './checklist.js';
import type { Paint } from './print.js';

/** A list to choose from, and what is asked of it. */
export interface CheckQuestion {
  readonly message: string;
  readonly list: Checklist;
  readonly paint: Paint;
}

/** Shows a checklist on the terminal until Enter; false when the user broke off. */
export async function askChecklist(question: CheckQuestion): Promise<boolean> {
  const { createPrompt, isDownKey, isEnterKey, isSpaceKey, isUpKey, useEffect, useKeypress, usePagination, useState } = await import('@inquirer/core');
  const prompt = createPrompt<true, CheckQuestion>(({ message, list, paint }, done) => {
    const [drawn, draw] = useState(0);
    const [isDone, setDone] = useState(false);
    // Asked each time that it is drawn: the screen may change meanwhile.
    const pageSize = rowsOf(process.stderr);
    useEffect((line) => void line.on('SIGTSTP', suspend), []);
    // A key may come before the news that the screen is another one.
    useEffect(() => onResize(() => draw(drawn + 1)), [drawn]);
    useKeypress((key) => {
      if (isEnterKey(key)) {
        setDone(true);
        done(true);
        return;
      }
      if (isUpKey(key)) list.move(-1);
      else if (isDownKey(key)) list.move(1);
      else if (isSpaceKey(key)) list.toggle();
      else KEYS[key.name]?.(list, pageSize);
      draw(drawn + 1);
    });
    // Every row would be wrapped for every key: more than a page on either side is never seen.
    const items = list.around(pageSize);
    const active = items.findIndex((line) => line.kind === 'row' && line.active);
    const page = usePagination({ items, active, pageSize, loop: false, renderItem: ({ item }) => lineText(item, paint) });
    const head = `${paint('green', isDone ? SIGNS.done : '?')} ${paint('bold', message)}`;
    if (isDone) return `${head} ${paint('cyan', countText(list.chosen, list.total))}`;
    return `${[head, page, ' ', helpText(paint)].join('\n')}${HIDE_CURSOR}`;
  });
  return restoring((signal) => prompt(question, { output: process.stderr, signal }));
}

/** Calls back when the screen has another size, until what it gives is called. */
function onResize(act: () => void): () => void {
  process.stderr.on('resize', act);
  return () => void process.stderr.off('resize', act);
}

/** Ctrl-Z: the shell gets a terminal as it knows it. At `fg` the list is drawn anew for the key itself. */
function suspend(): void {
  process.stderr.write(SHOW_CURSOR);
  process.stdin.setRawMode(false);
  process.once('SIGCONT', () => process.stdin.setRawMode(true));
  process.kill(process.pid, 'SIGTSTP');
}

const ENDS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal ends the process as ever, but only when the terminal has its cursor and its modes again. */
async function restoring(ask: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
  const { exitNow } = await import('../kernel/native.js');
  const stop = new AbortController();
  let by: NodeJS.Signals | null = null;
  const onSignal = (signal: NodeJS.Signals): void => {
    by = signal;
    stop.abort();
  };
  // The terminal is gone: Node would try to set it back and call that a bug of its own.
  const onGone = (): void => exitNow(HUNG_UP);
  const offQuit = onQuitKey(() => stop.abort());
  for (const signal of ENDS) process.on(signal, onSignal);
  process.stdin.on('error', onGone);
  try {
    return await ask(stop.signal);
  } catch (error) {
    if (error instanceof Error && BROKEN_OFF.has(error.name)) return false;
    throw error;
  } finally {
    for (const signal of ENDS) process.off(signal, onSignal);
    process.stdin.off('error', onGone);
    offQuit();
    if (by !== null) process.kill(process.pid, by);
  }
}

/** As a shell tells of a program that a hangup has ended. */
const HUNG_UP = 129;
const BROKEN_OFF: ReadonlySet<string> = new Set(['ExitPromptError', 'AbortPromptError']);

const KEYS: Readonly<Record<string, (list: Checklist, page: number) => void>> = {
  a: (list) => list.toggleAll(),
  i: (list) => list.invert(),
  pageup: (list, page) => list.move(-page),
  pagedown: (list, page) => list.move(page),
  home: (list) => list.move(-list.total),
  end: (list) => list.move(list.total),
};

const HELP = [
  ['↑↓', 'navigate'],
  ['space', 'select'],
  ['a', 'all'],
  ['i', 'invert'],
  ['⏎', 'submit'],
] as const;

/** The kernel's own console has few signs. */
const SIGNS = process.env['TERM'] === 'linux' ? { cursor: '>', on: '(*)', off: '( )', done: '√' } : { cursor: '❯', on: '◉', off: '◯', done: '✔' };
const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';

function lineText(line: CheckLine, paint: Paint): string {
  if (line.kind === 'heading') return ` ${line.title} (${countText(line.chosen, line.total)})`;
  const { label, checked, active } = line;
  if (active) return paint('cyan', `${SIGNS.cursor}${checked ? SIGNS.on : SIGNS.off} ${label}`);
  return ` ${checked ? paint('green', SIGNS.on) : SIGNS.off} ${label}`;
}

function countText(chosen: number, total: number): string {
  return `${chosen} of ${total}`;
}

function helpText(paint: Paint): string {
  return HELP.map(([key, action]) => `${paint('bold', key)} ${paint('dim', action)}`).join(paint('dim', ' • '));
}

const MOST_ROWS = 20;
/** The question, and the keys below the list, which take two lines or three where the terminal is narrow. */
const OTHER_ROWS = 5;

/** As much of the list as fits on the screen, or the row that the keys move on would be out of sight. */
function rowsOf({ rows = MOST_ROWS + OTHER_ROWS }: { readonly rows?: number }): number {
  return Math.max(3, Math.min(MOST_ROWS, rows - OTHER_ROWS));
}
