/** A real package through the gate, from the registry that this machine is configured for; skipped where it is not reached. */
import { execFileSync } from 'node:child_process';
import { chownSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import type { AuditRecord } from '../../src/audit/event.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

for (const identity of identities()) {
  const gated = needs('userns', 'overlay', 'registry');

  gated.describe(`the machine's registry as ${identity.name}`, () => {
    let area: Area;
    beforeAll(() => {
      area = createArea(identity);
    });
    afterAll(() => area.remove());

    gated.test('`npm install` passes the gate by the one rule `registries`, and nothing else is asked for', async () => {
      const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim();
      const authority = process.env['NODE_EXTRA_CA_CERTS'];
      const env = { NPM_CONFIG_REGISTRY: registry, ...(authority === undefined ? {} : { NODE_EXTRA_CA_CERTS: authority }) };
      const policy = join(area.dir, 'registry.yaml');
      // `private`: many machines have theirs at an address of their own network.
      writeFileSync(policy, 'version: 1\nnetwork: {allow: [{host: registries, private: true}]}\n', { mode: 0o600 });
      chownSync(policy, identity.uid, identity.gid);
      const keep = Object.keys(env).flatMap((name) => ['--env', name]);
      const script = 'npm install --no-audit --no-fund --no-update-notifier is-number >&2 && node -p "require(\'is-number\')(5)"';
      const outcome = await area.cli(['run', '--tag', 'registry', '--net', 'deny', '--policy', policy, ...keep, '--', 'sh', '-c', script], { env });

      expect(outcome.stdout, outcome.stderr).toBe('true\n');
      const { records } = jsonOf<{ readonly records: readonly AuditRecord[] }>(await area.cli(['log', 'registry', '--json', '--kind', 'conn']));
      expect(records.length).toBeGreaterThan(0);
      expect(new Set(records.map(({ verdict, rule }) => `${verdict ?? ''} ${rule ?? ''}`))).toEqual(new Set(['allow network.allow:registries']));
    });
  });
}
