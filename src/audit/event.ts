import { z } from 'zod';

/** Every kind of record; docs/audit.md says when each is written and what `object` and `detail` hold. */
export const AUDIT_KINDS = [
  'start', 'end', 'degraded', 'limit', 'policy',
  'conn', 'first', 'close', 'dns', 'udp', 'ingress', 'door', 'gate',
  'ask', 'answer', 'net',
  'exec', 'env', 'socket',
  'change', 'commit', 'undo', 'recover', 'export', 'discard', 'kill', 'freeze', 'thaw',
  'rotate', 'dropped', 'closed',
] as const;

/** The kinds of docs/audit.md. */
export type AuditKind = (typeof AUDIT_KINDS)[number];

const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const fields = z.record(z.string(), z.union([scalar, z.array(z.string())]));
const hash = z.string().regex(/^[0-9a-f]{64}$/);

const subject = z.strictObject({
  pid: z.number().int().describe('Host pid, so that an EDR can be matched.'),
  exe: z.string().nullable().describe('Host path of the program.'),
  argv: z.array(z.string()).nullable().describe('Its arguments, redacted.'),
  cwd: z.string().nullable().describe('Its working directory.'),
});

/** One line of `audit.jsonl`, as parsed. Unknown fields are an error: the version says what a line may hold. */
export const auditRecordSchema = z.strictObject({
  v: z.literal(1).describe('Version of the format.'),
  index: z.number().int().nonnegative().describe('0, 1, 2 … without a gap, through all rotated files.'),
  time: z.iso.datetime().describe('UTC, milliseconds.'),
  tag: z.string().describe('The sandbox.'),
  policy: z.string().nullable().describe('Digest of the policy in force.'),
  kind: z.enum(AUDIT_KINDS),
  subject: subject.nullable().describe('Who did it, when known.'),
  object: fields.describe('What it was done to; the keys depend on the kind.'),
  verdict: z.string().nullable().describe('allow, ask, deny; commit, discard, escalate; or null for an effect.'),
  rule: z.string().nullable().describe('Id of the rule that decided.'),
  origin: z.string().nullable().describe('Where that rule stands: FILE:LINE.'),
  approval: z.string().nullable().describe('Id of the question whose answer decided.'),
  detail: fields.describe('Counts, durations, reasons.'),
  redacted: z.number().int().nonnegative().describe('Secrets that were cut out of this record.'),
  prev: hash.describe('SHA-256 of the previous line without its line end; zeros in the first record.'),
}).describe('One record of an agentfw audit log.');

/** One line of a log, as `docs/audit.schema.json` has it. */
export type AuditRecord = z.infer<typeof auditRecordSchema>;
/** The process that did it, by the host's pids and paths. */
export type AuditSubject = z.infer<typeof subject>;
/** What an `object` or a `detail` holds: flat. */
export type AuditFields = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** What callers hand in; the writer adds the rest. */
export interface AuditEvent {
  readonly kind: AuditKind;
  readonly subject?: Readonly<AuditSubject> | null;
  readonly object?: AuditFields;
  readonly verdict?: string | null;
  readonly rule?: string | null;
  readonly origin?: string | null;
  readonly approval?: string | null;
  readonly detail?: AuditFields;
}
