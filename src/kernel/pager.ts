import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, closeSync, constants } from 'node:fs';
import { join } from 'node:path';
import { AgentfwError } from '../errors.js';
import { shellWord } from '../shell-word.js';
import { makePipe } from './native.js';

/** A program of the user's that shows what is longer than a screen, page by page. */
export interface Pager {
  /** what it shows comes in here */
  readonly fd: number;
  /** Nothing more comes: waits until the user has left it. `AFW_OUTPUT` where it can't be started. */
  readonly end: () => Promise<void>;
}

/**
 * The user's pager, as git takes it: `AGENTFW_PAGER`, `PAGER`, else `less` where that
 * is. Null for none: `cat` or nothing is named, or the terminal can't show pages.
 * From the environment alone, never from a file that an agent may have written.
 */
export function pagerIn(env: NodeJS.ProcessEnv): string | null {
  if (env['TERM'] === undefined || env['TERM'] === '' || env['TERM'] === 'dumb') return null;
  const named = (env['AGENTFW_PAGER'] ?? env['PAGER'])?.trim();
  if (named !== undefined) return named === '' || named === 'cat' ? null : named;
  const less = findInPath('less', env['PATH'] ?? '');
  return less === null ? null : shellWord(less);
}

/** A program's absolute path, or null: what a relative directory of PATH holds may be the agent's. */
export function findInPath(name: string, path: string): string | null {
  const files = path.split(':').flatMap((dir) => (dir.startsWith('/') ? [join(dir, name)] : []));
  return files.find(isProgram) ?? null;
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** less: ends by itself where all fits on a screen (F), shows our colours and nothing else that acts (R), leaves the text there (X). */
const DEFAULTS = { LESS: 'FRX', LV: '-c' };
/** A shell's, of a command that isn't there or is no program. */
const NOT_STARTED = [126, 127];

/** Starts it on this terminal. Ctrl-C is the pager's until it ends. */
export function startPager(command: string, env: NodeJS.ProcessEnv): Pager {
  const [from, to] = makePipe();
  const program = spawn('/bin/sh', ['-c', command], { env: { ...DEFAULTS, ...env }, stdio: [from, 'inherit', 'inherit'] });
  closeSync(from);
  const ended = endOf(program);
  process.on('SIGINT', ignore);
  return {
    fd: to,
    end: async () => {
      closeSync(to);
      const status = await ended;
      process.off('SIGINT', ignore);
      if (status === null || !NOT_STARTED.includes(status)) return;
      throw new AgentfwError('AFW_OUTPUT', `Can't start the pager: ${command}`, { hint: 'Set PAGER to one that is installed, or to cat for none' });
    },
  };
}

function ignore(): void {
  // The pager goes back to its prompt.
}

/** Its exit status; null where a signal ended it, 127 where there is no shell. */
function endOf(program: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    program.once('error', () => resolve(127));
    program.once('exit', (status) => resolve(status));
  });
}
