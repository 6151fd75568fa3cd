import { dirname, join } from 'node:path';
import type { Source } from './compile.js';
import type { PolicyDocument } from './document.js';
import { literalPattern } from './pattern.js';
import { MANAGED_FILE, userFile, type SourceRequest } from './sources.js';

/** agentfw's own files are not in the agent's view: the store, and every policy file of the user and the machine. */
export function ownSource(request: SourceRequest): Source {
  const hide = (id: string, ...subjects: readonly string[]) => ({
    list: 'files.hide' as const, id, subjects: [...new Set(subjects)], except: [], note: 'the agent does not reach what decides over it',
    ports: null, private: false, silent: false, keys: [], at: { line: 0, col: 0 },
  });
  const state = request.env['XDG_STATE_HOME'];
  const document: PolicyDocument = {
    version: 1, description: null, extends: [], agent: null, moves: {}, sets: [], socketNames: {}, holes: [], settings: [], variables: [],
    rules: [
      // A run with a place of its own for its store may not show the usual one either: other agents' work is there.
      hide('agentfw.state', literalPattern(request.stateDir), '~/.local/state/agentfw', ...(state?.startsWith('/') === true ? [literalPattern(join(state, 'agentfw'))] : [])),
      hide('agentfw.config', literalPattern(dirname(userFile(request))), '~/.config/agentfw'),
      hide('agentfw.managed', literalPattern(dirname(request.managedFile ?? MANAGED_FILE))),
    ],
  };
  return { layer: 'built-in', file: 'agentfw itself', digest: '', trusted: true, root: request.cwd, document };
}
