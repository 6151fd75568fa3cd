import { realpathSync } from 'node:fs';
import { fromText, isText, toText, type Bytes } from '../bytes.js';
import type { Context } from '../context.js';
import { AgentfwError } from '../errors.js';
import { storePath } from '../sandbox/place.js';
import { otherHomes } from './homes.js';
import type { SourceRequest } from './sources.js';

/** The request of this process. Paths are real ones, because the view and its changes know no other. */
export function policyRequest(context: Context, more: Partial<SourceRequest> = {}): SourceRequest {
  const { env, uid } = context;
  const home = homeOf(env);
  const cwd = more.cwd ?? textOf(context.cwd, 'The current directory');
  return { argv: [], cwd, home, homes: otherHomes(uid, home, cwd), env, uid, stateDir: textOf(realOr(storePath(env)), 'The store'), ...more };
}

function homeOf(env: Context['env']): string {
  const home = env['HOME'];
  if (home?.startsWith('/') !== true) throw new AgentfwError('AFW_HOME', 'HOME is not set to an absolute path.', { hint: 'Set HOME' });
  // Node puts U+FFFD for what is not UTF-8: a directory that is none, and nothing in the real one would be hidden.
  if (home.includes('\ufffd')) throw new AgentfwError('AFW_HOME', 'HOME is not valid UTF-8, so that no policy can name what is in it.', { hint: 'Set HOME to another path of the same directory, such as a bind mount' });
  return textOf(realOr(fromText(home)), 'HOME');
}

/** The store may not exist yet. */
function realOr(path: Bytes): Bytes {
  try {
    return fromText(realpathSync(toText(path)));
  } catch {
    return path;
  }
}

/** Patterns are text; a path that is none can't be written in a policy. */
function textOf(path: Bytes, what: string): string {
  if (isText(path)) return toText(path);
  throw new AgentfwError('AFW_POLICY_PATH', `${what} is not valid UTF-8, so that no policy can name it.`, { hint: 'Rename it' });
}
