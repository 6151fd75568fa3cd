import { objectField, wordField } from '../fields.js';
import type { Answer, Question } from './ask.js';

/** Runs a program with text on its stdin and returns its stdout; throws when it fails or takes too long. */
export type RunProgram = (argv: readonly string[], input: string, timeoutMs: number) => Promise<string>;

/**
 * Asks the `approver:` command of the policy: the question as one JSON object
 * in, `{"verdict":"allow"|"deny","scope":"once"|"session"}` out. Whatever goes
 * wrong is no answer: the question stays for a person, or times out as a no.
 * It can't answer for a project: that outlives the run it was asked in.
 */
export async function askApprover(run: RunProgram, argv: readonly string[], question: Question, timeoutMs: number): Promise<Answer | null> {
  try {
    const { id, host, port, rule, note, who } = question;
    const output = await run(argv, `${JSON.stringify({ version: 1, id, host, port, rule, note, who })}\n`, timeoutMs);
    const fields = objectField(JSON.parse(output), 'the answer');
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
