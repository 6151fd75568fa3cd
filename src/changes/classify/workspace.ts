import { fromText, isWithin, type Bytes } from '../../bytes.js';
import type { CompiledPolicy } from '../../policy/compiled.js';
import { isOwnState, ruledClass } from '../../policy/judge.js';
import { projectOf, sharedGitDirs } from '../../sandbox/program.js';
import type { SandboxRecord } from '../../sandbox/sandbox.js';
import type { Store } from '../../sandbox/store.js';
import type { Change } from '../change.js';
import type { ClassifyInput } from '../classify.js';

/**
 * What the agent was started to work on: the project around its directory as
 * the host has it (the agent's own `.git` doesn't count), the git directory
 * that a worktree shares, and the agent's own state.
 */
export function workspaceOf(
  store: Store,
  { cwd }: SandboxRecord,
  policy: CompiledPolicy | null,
): Pick<ClassifyInput, 'workspace' | 'home' | 'owned' | 'ruled'> {
  const home = homeOf(store);
  // A home under version control doesn't make all of it one project.
  const workspace = projectOf(cwd, [home]);
  const shared = sharedGitDirs(workspace);
  const owned = (path: Bytes): boolean =>
    shared.some((dir) => isWithin(path, dir)) || (policy !== null && isOwnState(policy, path));
  return { workspace, home, owned, ...(policy === null ? {} : { ruled: (change: Change) => ruledClass(policy, change) }) };
}

function homeOf({ context }: Store): Bytes {
  const home = context.env['HOME'];
  return fromText(home?.startsWith('/') === true ? home : '/nonexistent');
}
