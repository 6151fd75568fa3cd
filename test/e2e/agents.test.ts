/** Gemini CLI and OpenCode, the real packages, with a model that answers from a script. */
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { gemini, opencode, type Agent } from '../helpers/agents.js';
import { startModelServer, type ModelServer, type ToolCall } from '../helpers/model-server.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area, type Outcome } from '../helpers/sandbox.js';

interface Change {
  readonly path: string;
  readonly kind: string;
  readonly class: string;
  readonly verdict: string;
  readonly rule: string;
}

interface Scripted {
  readonly need: 'gemini' | 'opencode';
  readonly agent: Agent | null;
  readonly profile: string;
  readonly package: string;
  readonly shell: (command: string) => ToolCall;
  readonly argv: (agent: Agent) => readonly string[];
  readonly env: (model: ModelServer) => Readonly<Record<string, string>>;
  /** files of the user's that lead it to the model */
  readonly config: (model: ModelServer) => Readonly<Record<string, string>>;
  /** what an earlier session left */
  readonly existing: Readonly<Record<string, string>>;
  /** directories in the home that hold its state */
  readonly state: readonly string[];
  /** where a session must be found on the host afterwards */
  readonly sessions: string;
}

const agents: readonly Scripted[] = [
  {
    need: 'gemini', agent: gemini(), profile: 'gemini-cli', package: '@google/gemini-cli',
    shell: (command) => ({ name: 'run_shell_command', input: { command, description: 'edits' } }),
    argv: ({ program }) => [program, '--yolo', '--skip-trust', '-m', 'gemini-2.5-flash', '-p', 'Do the edits.'],
    env: ({ url }) => ({ GEMINI_API_KEY: 'scripted-key', GOOGLE_GEMINI_BASE_URL: url }),
    // With a model elsewhere it wants to be told how it is let in; the user's settings are the only place.
    config: () => ({ '.gemini/settings.json': '{"security":{"auth":{"selectedType":"gemini-api-key"}}}\n' }),
    existing: { '.gemini/installation_id': '11111111-2222-3333-4444-555555555555', '.gemini/google_accounts.json': '{"active":null,"old":[]}\n' },
    state: ['.gemini'], sessions: '.gemini/tmp',
  },
  {
    need: 'opencode', agent: opencode(), profile: 'opencode', package: 'opencode-linux',
    shell: (command) => ({ name: 'bash', input: { command, description: 'edits' } }),
    argv: ({ program }) => [program, 'run', '--model', 'anthropic/claude-sonnet-4-5', 'Do the edits.'],
    env: ({ url }) => ({ ANTHROPIC_API_KEY: 'scripted-key', OPENCODE_CONFIG_CONTENT: JSON.stringify({ provider: { anthropic: { options: { baseURL: `${url}/v1` } } }, permission: 'allow' }) }),
    config: () => ({}),
    existing: {
      '.config/opencode/opencode.json': '{"$schema": "https://opencode.ai/config.json", "theme": "system"}\n',
      '.local/share/opencode/auth.json': '{}\n' },
    state: ['.config/opencode', '.local/share/opencode', '.local/state/opencode', '.cache/opencode'], sessions: '.local/share/opencode',
  },
];

for (const identity of identities()) {
  for (const scripted of agents) {
    needs(scripted.need, 'userns', 'overlay').describe(`${scripted.need} ${scripted.agent?.version ?? ''} as ${identity.name}`, () => {
      let area: Area;
      let model: ModelServer;
      beforeEach(async () => {
        area = createArea(identity);
        model = await startModelServer({ closing: 'All done.', calls: [scripted.shell("echo new > new.txt; rm gone.txt; sed -i 's/two/deux/' edit.txt")] });
        put('project/edit.txt', 'one\ntwo\n');
        put('project/gone.txt', 'to be deleted\n');
      });
      afterEach(async () => {
        await model.close();
        await area.remove();
      });

      const put = (name: string, text: string): void => {
        const path = join(area.home, name);
        const made: string[] = [];
        for (let dir = dirname(path); !existsSync(dir); dir = dirname(dir)) made.push(dir);
        mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
        writeFileSync(path, text, { mode: 0o600 });
        for (const one of [...made, path]) chownSync(one, identity.uid, identity.gid);
      };
      const run = (tag: string): Promise<Outcome> => {
        const agent = scripted.agent as Agent;
        // What leads it to its model passes by its profile.
        return area.cli(['run', '--tag', tag, '--net', 'allow', '--share', agent.prefix, '--', ...scripted.argv(agent)], { env: scripted.env(model) });
      };

      for (const [name, state] of [['empty', {}], ['existing', scripted.existing]] as const) {
        needs(scripted.need).test(`with state directory \`${name}\` it finishes a turn, keeps its session, and only its work waits`, async () => {
          for (const dir of scripted.state) rmSync(join(area.home, dir), { recursive: true, force: true });
          for (const [path, text] of Object.entries({ ...scripted.config(model), ...state })) put(path, text);
          const outcome = await run('one');

          expect(outcome.status, outcome.stdout + outcome.stderr).toBe(0);
          expect(outcome.stdout + outcome.stderr).toContain('All done.');
          expect(outcome.stderr).toMatch(new RegExp(`^agentfw: profile ${scripted.profile} .*\\(matched ${scripted.package}`, 'm'));
          expect(outcome.stderr).not.toMatch(/not proven/);
          expect(model.results()).toHaveLength(1);
          expect(readFileSync(join(area.project, 'edit.txt'), 'utf8')).toBe('one\ntwo\n');

          const { changes } = jsonOf<{ readonly changes: readonly Change[] }>(await area.cli(['diff', '--tag', 'one', '--json']));
          const elsewhere = changes.filter(({ path }) => !path.startsWith(`${area.project}/`));
          expect(elsewhere, outcome.stderr).toEqual([]);
          expect(changes.map(({ kind, path }) => `${kind} ${path.slice(area.project.length + 1)}`).sort()).toEqual(['add new.txt', 'delete gone.txt', 'modify edit.txt']);
          const kept = readdirSync(join(area.home, scripted.sessions), { recursive: true }).map(String);
          expect(kept.filter((file) => /session|\.db$|chats/.test(file)), kept.join('\n')).not.toEqual([]);

          const commit = await area.cli(['commit', '--tag', 'one', '--yes', '--', '.']);
          expect(commit.status, commit.stdout + commit.stderr).toBe(0);
          expect(readFileSync(join(area.project, 'edit.txt'), 'utf8')).toBe('one\ndeux\n');
        });
      }
    });
  }
}
