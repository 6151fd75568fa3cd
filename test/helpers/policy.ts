import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { jsonOf, type Area, type Outcome } from './sandbox.js';

export interface DiffJson {
  readonly changes: readonly { readonly path: string; readonly kind: string; readonly class: string; readonly reason: string | null; readonly verdict: string; readonly rule: string; readonly conflict: string | null }[];
}

/** What a test of a policy does again and again, in the area that is `area()` then. */
export interface PolicyHands {
  /** a file of the identity's own below its home */
  readonly put: (name: string, text: string) => string;
  readonly policy: (text: string) => string;
  readonly run: (flags: readonly string[], script: string, env?: Readonly<Record<string, string>>) => Promise<Outcome>;
  readonly changes: (tag: string) => Promise<DiffJson['changes']>;
  readonly host: (name: string) => string;
  /** stdout of an agent that must end well */
  readonly seen: (script: string, flags?: readonly string[]) => Promise<string>;
}

export function policyHands(area: () => Area): PolicyHands {
  const put = (name: string, text: string): string => {
    const { home, identity } = area();
    const path = join(home, name);
    const missing: string[] = [];
    for (let dir = dirname(path); !existsSync(dir); dir = dirname(dir)) missing.push(dir);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, text, { mode: 0o600 });
    for (const made of [...missing, path]) chownSync(made, identity.uid, identity.gid);
    return path;
  };
  const run: PolicyHands['run'] = (flags, script, env = {}) => area().cli(['run', '--net', 'off', ...flags, '--', 'sh', '-c', script], { env });
  return {
    put,
    run,
    policy: (text) => put('.config/agentfw/policy.yaml', `version: 1\n${text}`),
    changes: async (tag) => jsonOf<DiffJson>(await area().cli(['diff', '--tag', tag, '--json'])).changes,
    host: (name) => readFileSync(join(area().home, name), 'utf8'),
    seen: async (script, flags = []) => {
      const outcome = await run(['--rm', ...flags], script);
      expect(outcome.status, outcome.stderr).toBe(0);
      return outcome.stdout;
    },
  };
}
