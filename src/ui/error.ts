import { AgentfwError, errnoOf, isNoSpace, isShortage } from '../errors.js';
import { escapeForTerminal } from './escape.js';
import type { Paint } from './print.js';

/** An error as both people and programs get it. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly causes: readonly string[];
  readonly hint: string | null;
  readonly status: number;
}

/** Of the shell that started us, or of the machine. */
const LIMITS: Readonly<Record<string, string>> = {
  EACCES: 'Your rights there don’t suffice: ls -ld tells owner and mode of what is named, and of each directory above it',
  EFBIG: 'Raise the largest size of a file: ulimit -f',
  EMFILE: 'Allow more open files: ulimit -n',
  EROFS: 'If the store lies there, set AGENTFW_STATE_DIR to a directory where you can write',
  ENFILE: 'The whole machine has too many files open: sysctl fs.file-max',
};

/** Any thrown value as a report: ours as it is, a system error by its errno, the rest as internal. */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof AgentfwError) {
    return { code: error.code, message: error.message, causes: causesOf(error.cause), hint: shortageHint(error.cause) ?? error.hint, status: error.status };
  }
  if (isNoSpace(error)) return diskFull(error);
  const errno = errnoOf(error);
  if (error instanceof Error && errno !== null && /^E[A-Z0-9]+$/.test(errno)) {
    return { code: 'AFW_SYSTEM', message: error.message, causes: causesOf(error.cause), hint: LIMITS[errno] ?? null, status: 1 };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'AFW_INTERNAL',
    message: `Internal error: ${message}`,
    causes: error instanceof Error ? causesOf(error.cause) : [],
    hint: 'Please report it, with what AGENTFW_DEBUG=1 adds and the output of agentfw doctor --json',
    status: 70,
  };
}

/** What failed for want of descriptors has one mend, whatever was tried. */
function shortageHint(cause: unknown): string | null {
  for (let next = cause; next instanceof Error; next = next.cause) if (isShortage(next)) return LIMITS[errnoOf(next) ?? ''] ?? null;
  return null;
}

function diskFull(error: unknown): ErrorReport {
  return {
    code: 'AFW_DISK_FULL',
    message: 'There is no room left on the disk.',
    causes: causesOf(error),
    hint: 'Free some, or keep the sandboxes on another disk: AGENTFW_STATE_DIR',
    status: 1,
  };
}

function causesOf(cause: unknown): string[] {
  const causes: string[] = [];
  for (let next = cause; next !== undefined && next !== null && causes.length < 8; ) {
    causes.push(next instanceof Error ? next.message : String(next));
    next = next instanceof Error ? next.cause : undefined;
  }
  return causes;
}

/** `Error:` / `Caused by:` / `Hint:`, without a final newline. */
export function renderError(report: ErrorReport, paint: Paint): string {
  const lines = [`${paint('red', 'Error:')} ${escapeForTerminal(report.message)}`];
  for (const cause of report.causes) lines.push(`Caused by: ${escapeForTerminal(cause)}`);
  if (report.hint !== null) lines.push(`${paint('cyan', 'Hint:')} ${escapeForTerminal(report.hint)}`);
  return lines.join('\n');
}

/** The JSON twin: `{"version":1,"error":{…}}`. */
export function errorJson(report: ErrorReport): object {
  const { code, message, causes, hint } = report;
  return { version: 1, error: { code, message, causes, hint } };
}
