import type { Question } from '../gate/ask.js';
import { escapeForTerminal } from './escape.js';
import { age, table } from './table.js';

/** One row per open question: its id, what is asked, by whom. */
export function questionRows(tag: string, questions: readonly Question[], now: Date): string {
  return table(questions.map((question) => [
    question.id, escapeForTerminal(question.rule), tag,
    `${age(new Date(question.opened).toISOString(), now)}, ${question.waiting} waiting`, escapeForTerminal(whoText(question)),
  ]));
}

function whoText({ who, note }: Question): string {
  const command = who === null ? 'an unknown process' : `${who.argv?.join(' ').slice(0, 100) ?? who.exe ?? '?'} (pid ${who.pid}, in ${who.cwd ?? '?'})`;
  return note === null ? command : `${command}; ${note}`;
}
