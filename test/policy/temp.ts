import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compilePolicy, type Compiled, type PolicyRequest } from '../../src/policy/index.js';

/** A throw-away home with files, removed when the test ends. */
export function tempHome(files: Record<string, string> = {}): string {
  const home = realpathSync(mkdtempSync(join(tmpdir(), 'agentfw-policy-')));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  for (const [path, text] of Object.entries(files)) put(join(home, path), text);
  return home;
}

export function put(file: string, text: string, mode = 0o644): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, mode);
}

/** A request whose every path lies in the home, so that the machine's own policy plays no part. */
export function requestIn(home: string, more: Partial<PolicyRequest> = {}): PolicyRequest {
  const uid = process.getuid?.() ?? 0;
  return {
    argv: [], cwd: join(home, 'app'), home, env: { PATH: join(home, 'bin') }, uid, stateDir: join(home, '.local/state/agentfw'),
    managedFile: join(home, 'etc/agentfw/policy.yaml'), managedUid: uid, ...more,
  };
}

export function compileIn(home: string, more: Partial<PolicyRequest> = {}): Promise<Compiled> {
  return compilePolicy(requestIn(home, more));
}
