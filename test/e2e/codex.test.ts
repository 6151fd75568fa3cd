/** A second real agent, over the other API: `@openai/codex`. */
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { codex } from '../helpers/agents.js';
import { startModelServer, type ModelServer } from '../helpers/model-server.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

const agent = codex();

for (const identity of identities()) {
  needs('codex', 'userns', 'overlay').describe(`codex ${agent?.version ?? ''} as ${identity.name}`, () => {
    let area: Area;
    let model: ModelServer;
    beforeAll(async () => {
      area = createArea(identity);
      model = await startModelServer({
        closing: 'All done.',
        calls: [{ name: 'exec_command', input: { cmd: "echo new > new.txt; rm gone.txt; sed -i 's/two/deux/' edit.txt" } }],
      });
      const config = [
        'model = "scripted"', 'model_provider = "scripted"', '[model_providers.scripted]', 'name = "scripted"',
        `base_url = "${model.url}/v1"`, 'env_key = "SCRIPTED_KEY"', 'wire_api = "responses"', '',
      ].join('\n');
      mkdirSync(join(area.home, '.codex'));
      write(area, join(area.project, 'edit.txt'), 'one\ntwo\n');
      write(area, join(area.project, 'gone.txt'), 'to be deleted\n');
      write(area, join(area.home, '.codex/config.toml'), config);
      chownSync(join(area.home, '.codex'), identity.uid, identity.gid);
    });
    afterAll(async () => {
      await model.close();
      await area.remove();
    });

    needs('codex').test('its edits stay in the sandbox until they are committed', async () => {
      const run = await area.cli([
        'run', '--tag', 'codex', '--net', 'allow', '--share', agent?.prefix ?? '', '--env', 'SCRIPTED_KEY=scripted-key', '--',
        agent?.program ?? '', 'exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', 'Do the edits.',
      ]);

      expect(run.status, run.stdout + run.stderr).toBe(0);
      expect(run.stdout).toContain('All done.');
      expect(run.stderr).toContain(`agentfw: profile codex ${agent?.version}`);
      expect(model.results()).toHaveLength(1);
      expect(readFileSync(join(area.project, 'edit.txt'), 'utf8')).toBe('one\ntwo\n');

      const diff = jsonOf<{ readonly changes: readonly { readonly path: string; readonly kind: string }[] }>(
        await area.cli(['diff', '--tag', 'codex', '--json', '--', '.']),
      );
      expect(diff.changes.map(({ kind, path }) => `${kind} ${path.slice(area.project.length + 1)}`).sort())
        .toEqual(['add new.txt', 'delete gone.txt', 'modify edit.txt']);

      const all = jsonOf<typeof diff>(await area.cli(['diff', '--tag', 'codex', '--json']));
      expect(all.changes.filter(({ path }) => !path.startsWith(`${area.project}/`)), 'what waits beside its work').toEqual([]);
      expect(readdirSync(join(area.home, '.codex/sessions'), { recursive: true }).filter((file) => String(file).endsWith('.jsonl'))).not.toEqual([]);

      const commit = await area.cli(['commit', '--tag', 'codex', '--yes', '--', '.']);
      expect(commit.status, commit.stdout + commit.stderr).toBe(0);
      expect(readFileSync(join(area.project, 'edit.txt'), 'utf8')).toBe('one\ndeux\n');
      expect(readFileSync(join(area.project, 'new.txt'), 'utf8')).toBe('new\n');
    });

    needs('codex').test('the sandbox that it builds for its commands works inside', async () => {
      // What bypassed it above is what it warns of; by default it masks sockets in /tmp wherever mountinfo says that /tmp lies.
      const own = await area.cli([
        'run', '--rm', '--net', 'off', '--share', agent?.prefix ?? '', '--', agent?.program ?? '', 'sandbox', '--', 'sh', '-c', 'echo ran; touch ~/kept-out',
      ]);

      expect(own.stdout, own.stderr).toContain('ran\n');
      expect(own.stderr).toMatch(/kept-out.*Read-only file system/);
    });
  });
}

function write(area: Area, path: string, text: string): void {
  writeFileSync(path, text);
  chownSync(path, area.identity.uid, area.identity.gid);
}
