import { objectField, wordField } from '../fields.js';
import type { Answer, Question } from './ask.js';

/** How long a program may take: the signal says that nobody wants its answer any more. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Runs a program with text on its stdin and returns its stdout; throws when it fails, takes too long or is called off. */
export type RunProgram = (argv: readonly string[], input: string, patience: Patience) => Promise<string>;

/**
 * Asks the `approver:` command of the policy: the question as one JSON object
 * in, `{"verdict":"allow"|"deny","scope":"once"|"session"}` out. Whatever goes
 * wrong is no answer: the question stays for a person, or times out as a no.
 * It can't answer for a project: that outlives the run it was asked in.
 */
export async function askApprover(run: RunProgram, argv: readonly string[], question: Question, patience: Patience): Promise<Answer | null> {
  try {
    const { id, host, port, rule, note, who } = question;
    const output = await run(argv, `${JSON.stringify({ version: 1, id, host, port, rule, note, who })}\n`, patience);
    const parsed: unknown = JSON.parse(output);
    // A key that is given twice is lost in parsing, and with it the other answer.
    if (quotes(output) !== quotes(JSON.stringify(parsed))) throw new Error('the answer is given twice');
    const fields = objectField(parsed, 'the answer');
    return {
      id,
      rule,
      verdict: wordField(fields['verdict'], 'verdict', ['allow', 'deny']),
      scope: wordField(fields['scope'] ?? 'once', 'scope', ['once', 'session']),
      by: 'approver',
    };
  } catch {
    return null;
  }
}

function quotes(json: string): number {
  return json.split('"').length;
}
