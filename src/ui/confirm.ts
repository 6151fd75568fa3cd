import { usageError } from '../errors.js';
import type { Printer } from './print.js';

/** Asks for one line on the terminal; null at the end of input, at Ctrl-C or Ctrl-\. */
export type AskLine = (prompt: string) => Promise<string | null>;

/** Calls back at Ctrl-\, until what it gives is called: who reads keys gets no signal from it, and readline knows no such key. */
export function onQuitKey(act: () => void): () => void {
  const onKey = (_: string | undefined, { sequence }: { readonly sequence?: string }): void => void (sequence === '\x1c' && act());
  process.stdin.on('keypress', onKey);
  return () => void process.stdin.off('keypress', onKey);
}

/** Questions go to stderr, because stdout may be piped while the user looks on. */
export function terminalLine(): AskLine {
  return async (prompt) => {
    const { createInterface } = await import('node:readline');
    return new Promise((answer) => {
      const line = createInterface({ input: process.stdin, output: process.stderr });
      line.on('SIGINT', () => line.close());
      // Node lets go of the terminal at Ctrl-Z, and takes it back at `fg` only for who asks for it: else nothing is left to wait for, and the process ends.
      line.on('SIGCONT', () => line.prompt(true));
      const offQuit = onQuitKey(() => line.close());
      let entered = false;
      line.on('close', () => {
        offQuit();
        if (entered) return;
        // The cursor stands behind the question.
        process.stderr.write('\n');
        answer(null);
      });
      line.question(prompt, (text) => {
        entered = true;
        answer(text);
        line.close();
      });
    });
  };
}

/**
 * Asks before something is written or lost. Without a terminal nobody can
 * answer: that is a usage error, and `--yes` is the only way past it.
 */
export async function confirm(printer: Printer, question: string, ask: AskLine = terminalLine()): Promise<boolean> {
  return (await askYes(printer, question, ask)) === true;
}

/** The same, for one question of several: null is Ctrl-C, which means all of them. */
export async function askYes(printer: Printer, question: string, ask: AskLine = terminalLine()): Promise<boolean | null> {
  if (!printer.interactive) throw usageError('There is no terminal to ask on.', 'Say --yes to go on without asking');
  const answer = await ask(`${question} [y/N] `);
  return answer === null ? null : /^y(es)?$/i.test(answer.trim());
}
