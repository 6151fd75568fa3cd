import { toText, type Bytes } from '../bytes.js';
import { usageError } from '../errors.js';
import type { Scope } from '../gate/ask.js';
import { refuseInside } from '../sandbox/nested.js';
import { answerQuestion } from '../sandbox/questions.js';
import type { Store } from '../sandbox/store.js';
import { escapeForTerminal } from './escape.js';
import type { Printer } from './print.js';

/** What `approve` or `deny` was called with. */
export interface Given {
  readonly words: readonly Bytes[];
  readonly verdict: 'allow' | 'deny';
  readonly scope: Scope;
  readonly json: boolean;
}

const HOW_LONG = { once: 'once', session: 'until this run ends', project: 'for this project, from now on' } as const;

/** `approve` and `deny`: both answer one question by its id. */
export async function giveAnswer(store: Store, printer: Printer, { words, verdict, scope, json }: Given): Promise<number> {
  const command = verdict === 'allow' ? 'approve' : 'deny';
  refuseInside(command);
  const [id, ...rest] = words.map(toText);
  if (id === undefined || rest.length > 0) throw usageError('Expected the id of one question.', 'List them: agentfw approvals');
  const { tag, question, cut } = await answerQuestion(store, id, verdict, scope, store.context.env['USER'] ?? 'terminal');
  if (json) printer.json({ version: 1, tag, id, rule: question.rule, verdict, scope, cut });
  else printer.say(`${verdict === 'allow' ? 'Allowed' : 'Denied'} ${escapeForTerminal(question.rule)} in ${tag}, ${HOW_LONG[scope]}`);
  return 0;
}
