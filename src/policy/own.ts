import { dirname } from 'node:path';
import type { Source } from './compile.js';
import type { PolicyDocument } from './document.js';
import { MANAGED_FILE, userFile, type SourceRequest } from './sources.js';

/** agentfw's own files are not in the agent's view: the store, and every policy file of the user and the machine. */
export function ownSource(request: SourceRequest): Source {
  const escape = (path: string): string => path.replace(/[*?[\]{}()!\\]/g, '\\$&');
  const hide = (id: string, path: string) => ({
    list: 'files.hide' as const, id, subjects: [escape(path)], except: [], note: 'the agent does not reach what decides over it',
    ports: null, private: false, silent: false, keys: [], at: { line: 0, col: 0 },
  });
  const document: PolicyDocument = {
    version: 1, description: null, extends: [], agent: null, moves: {}, sets: [], socketNames: {}, holes: [], settings: [], variables: [],
    rules: [
      hide('agentfw.state', request.stateDir), hide('agentfw.config', dirname(userFile(request))),
      hide('agentfw.managed', dirname(request.managedFile ?? MANAGED_FILE)),
    ],
  };
  return { layer: 'built-in', file: 'agentfw itself', digest: '', trusted: true, root: request.cwd, document };
}
