import { z } from 'zod';
import { usageError } from '../errors.js';
import type { CompiledPolicy } from './compiled.js';
import { policyError, type Problem } from './document.js';
import { explain, type Explanation, type Operation, type SubjectKind } from './explain.js';
import { parseYaml, sourceLine } from './yaml.js';

const expected = z.enum(['allow', 'ask', 'deny', 'commit', 'discard', 'escalate']);
const caseSchema = z.strictObject({
  path: z.string().optional(), host: z.string().optional(), env: z.string().optional(), socket: z.string().optional(),
  op: z.enum(['read', 'write', 'commit']).optional(),
  addresses: z.array(z.string()).optional(),
  rule: z.string().optional(),
  expect: expected,
}).refine((one) => [one.path, one.host, one.env, one.socket].filter((subject) => subject !== undefined).length === 1, 'a case has exactly one of path, host, env, socket');
const casesSchema = z.strictObject({ version: z.literal(1), cases: z.array(caseSchema).min(1) });

const EXAMPLE = 'A table of cases, for example: {version: 1, cases: [{path: ./.env, expect: deny}]}';

/** One row of a table of subjects and what is expected of them. */
export interface CaseResult {
  readonly line: number;
  readonly expected: string;
  readonly got: Explanation;
  readonly ok: boolean;
}

/** Runs `policy test`'s file against a compiled policy. `ask` knows where paths lead on this machine, or doesn't. */
export function runCases(policy: CompiledPolicy, file: string, text: string, cwd: string, ask: typeof explain = explain): CaseResult[] {
  const parsed = parseYaml(file, text);
  if (parsed.kind === 'empty') throw usageError(`${file} has no cases.`, EXAMPLE);
  if (parsed.kind === 'invalid') throw policyError(parsed.problems, 'The cases are not valid', EXAMPLE);
  const shape = casesSchema.safeParse(parsed.yaml.value);
  if (!shape.success) {
    const problems: Problem[] = shape.error.issues.map((issue) => {
      const place = parsed.yaml.place(issue.path);
      return { file, ...place, message: issue.message, text: sourceLine(text, place.line), hint: null };
    });
    throw policyError(problems, 'The cases are not valid', EXAMPLE);
  }
  return shape.data.cases.map((one, i) => {
    const [kind, subject] = subjectOf(one);
    // A verdict on a change is a question about a commit.
    const op: Operation = one.op ?? (['commit', 'discard', 'escalate'].includes(one.expect) ? 'commit' : 'read');
    const got = ask(policy, { kind, subject, op, cwd, ...(one.addresses === undefined ? {} : { addresses: one.addresses }) });
    const wanted = one.rule === undefined ? one.expect : `${one.expect} by ${one.rule}`;
    return { line: parsed.yaml.place(['cases', i]).line, expected: wanted, got, ok: got.verdict === one.expect && (one.rule === undefined || got.rule === one.rule) };
  });
}

function subjectOf(one: z.infer<typeof caseSchema>): [SubjectKind, string] {
  for (const kind of ['path', 'host', 'env', 'socket'] as const) {
    const subject = one[kind];
    if (subject !== undefined) return [kind, subject];
  }
  throw usageError('A case has no subject.', 'Give each one of path, host, env or socket');
}
