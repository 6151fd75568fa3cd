/**
 * The one error that core code throws for people. `ui/error.ts` prints it:
 * `Error: message` / `Caused by: cause` / `Hint: hint`, and its code in JSON.
 */
export type ErrorCode = `AFW_${string}`;

/** 1 failed or refused · 2 usage · 3 needs a decision · 70 internal · 125–127 before an agent starts */
export type FailureStatus = 1 | 2 | 3 | 70 | 125 | 126 | 127;

/** Beside code and message; `hint` is one thing to do, `status` that of the command (1 where nothing is said). */
export interface ErrorOptions {
  /** one thing to do about it */
  readonly hint?: string;
  readonly cause?: unknown;
  /** default 1 */
  readonly status?: FailureStatus;
}

/** The code is stable (docs/errors.md); the message is a sentence, the hint one thing to do, both without secrets. */
export class AgentfwError extends Error {
  override readonly name = 'AgentfwError';
  readonly hint: string | null;
  readonly status: FailureStatus;

  constructor(
    readonly code: ErrorCode,
    message: string,
    options: ErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.hint = options.hint ?? null;
    this.status = options.status ?? 1;
  }
}

/** The errno name of a failed system call (Node's or ours), else null. */
export function errnoOf(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** The disk is full, or the user’s share of it. */
export function isNoSpace(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT'].includes(errnoOf(error) ?? '');
}

const SHORTAGES: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** The process or the machine has no descriptor or memory left, which says nothing of what was asked for. */
export function isShortage(error: unknown): boolean {
  return SHORTAGES.has(errnoOf(error) ?? '');
}

/** A system call was refused for what it was about, not for what the machine lacks: an answer that can be gone on with. */
export function isRefusal(error: unknown): boolean {
  return errnoOf(error) !== null && !isShortage(error);
}

/** A command line that can't be meant: exit status 2. */
export function usageError(message: string, hint: string): AgentfwError {
  return new AgentfwError('AFW_USAGE', message, { status: 2, hint });
}
