/** A real agent does real work in a sandbox. */
import { chownSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, afterEach, expect } from 'vitest';
import { claude } from '../helpers/agents.js';
import { startModelServer, type ModelServer } from '../helpers/model-server.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, jsonOf, type Area } from '../helpers/sandbox.js';

interface DiffJson {
  readonly changes: readonly { readonly path: string; readonly kind: string; readonly type: string }[];
}

const agent = claude();

for (const identity of identities()) {
  needs('claude', 'userns', 'overlay').describe(`claude ${agent?.version ?? ''} as ${identity.name}`, () => {
    let area: Area;
    let model: ModelServer;
    beforeAll(() => { area = createArea(identity); });
    afterAll(() => area.remove());
    beforeEach(async () => {
      layOut(area);
      model = await startModelServer(scriptFor(area.project));
    });
    afterEach(() => model.close());

    const claudeArgv = (): readonly string[] => [agent?.program ?? '', ...flags(identity.name)];

    needs('claude').test('the script does its four edits natively', async () => {
      const outcome = await area.native(claudeArgv(), { env: settings(model) });

      expect(outcome.status, outcome.stderr).toBe(0);
      expect(outcome.stdout).toContain('All done.');
      expect(model.results()).toHaveLength(6);
      expect(contentsOf(area.project)).toEqual(afterwards);
    });

    needs('claude', 'userns', 'overlay').test('`agentfw run` keeps its edits from the host, `diff` shows exactly them, `commit` lands them', async () => {
      const env = settings(model);
      const keep = Object.keys(env).flatMap((name) => ['--env', name]);
      const run = await area.cli(
        ['run', '--tag', 'agent', '--net', 'allow', '--share', agent?.prefix ?? '', ...keep, '--', ...claudeArgv()],
        { env },
      );

      expect(run.status, run.stdout + run.stderr).toBe(0);
      expect(run.stdout).toContain('All done.');
      expect(model.results()).toHaveLength(6);
      expect(contentsOf(area.project), 'the host during review').toEqual(before);

      const { changes } = jsonOf<DiffJson>(await area.cli(['diff', 'agent', '--json']));
      const inProject = changes.filter(({ path }) => path.startsWith(`${area.project}/`));
      expect(inProject.map(({ kind, path }) => `${kind} ${path.slice(area.project.length + 1)}`).sort()).toEqual([
        'add new.txt', 'add ran.txt', 'delete gone.txt', 'modify edit.txt',
      ]);
      const elsewhere = changes.map(({ path }) => path).filter((path) => !path.startsWith(`${area.project}/`));
      expect(elsewhere.filter((path) => !isAgentState(area, path)), 'changes that are not its own state').toEqual([]);

      const commit = await area.cli(['commit', '--tag', 'agent', '--yes', '--', '.']);
      expect(commit.status, commit.stdout + commit.stderr).toBe(0);
      expect(contentsOf(area.project)).toEqual(afterwards);
    });

    for (const [name, state] of [['none', {}], ['empty', { '.claude/': '' }], ['existing', existingState]] as const) {
      needs('claude', 'userns', 'overlay').test(`its profile is found, and with state directory \`${name}\` nothing of its own waits for a person`, async () => {
        rmSync(join(area.home, '.claude'), { recursive: true, force: true });
        rmSync(join(area.home, '.claude.json'), { force: true });
        for (const [path, text] of Object.entries(state)) putOwn(area, path, text);
        const run = await area.cli(
          ['run', '--tag', `state-${name}`, '--net', 'allow', '--share', agent?.prefix ?? '', '--', ...claudeArgv()],
          { env: settings(model) },
        );

        expect(run.status, run.stdout + run.stderr).toBe(0);
        expect(run.stderr).toMatch(new RegExp(`^agentfw: profile claude-code ${agent?.version} \\(matched @anthropic-ai/claude-code`, 'm'));
        const { changes } = jsonOf<DiffJson>(await area.cli(['diff', `state-${name}`, '--json']));
        expect(changes.filter(({ path }) => !path.startsWith(`${area.project}/`)), run.stderr).toEqual([]);
        expect(changes).toHaveLength(4);
        const kept = JSON.parse(readFileSync(join(area.home, '.claude.json'), 'utf8')) as Record<string, unknown>;
        expect(kept).toMatchObject(name === 'existing' ? { oauthAccount: { emailAddress: 'a@b.example' }, mcpServers: {} } : {});
        expect(Object.keys(kept).length).toBeGreaterThan(2);
        expect(readdirSync(join(area.home, '.claude/projects'), { recursive: true }).filter((file) => String(file).endsWith('.jsonl'))).not.toEqual([]);

        const again = await area.cli(
          ['run', '--rm', '--net', 'allow', '--share', agent?.prefix ?? '', '--', ...claudeArgv(), '--continue'],
          { env: settings(model) },
        );
        expect(again.status, again.stdout + again.stderr).toBe(0);
      });
    }

    needs('claude', 'userns', 'overlay').test('streaming JSON output arrives whole through `agentfw run`', async () => {
      const env = settings(model);
      const keep = Object.keys(env).flatMap((name) => ['--env', name]);
      const run = await area.cli(
        ['run', '--rm', '--net', 'allow', '--share', agent?.prefix ?? '', ...keep, '--',
          ...claudeArgv(), '--output-format', 'stream-json', '--verbose'],
        { env },
      );

      expect(run.status, run.stderr).toBe(0);
      const events = run.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { readonly type: string });
      expect(events.at(-1)?.type).toBe('result');
      expect(contentsOf(area.project)).toEqual(before);
    });
  });
}

const before = { 'edit.txt': 'one\ntwo\nthree\n', 'gone.txt': 'to be deleted\n' };
const afterwards = { 'edit.txt': 'one\ndeux\nthree\n', 'new.txt': 'written by the agent\n', 'ran.txt': 'the shell ran\n' };

const existingState = { '.claude.json': '{"oauthAccount": {"emailAddress": "a@b.example"}, "mcpServers": {}}', '.claude/settings.json': '{}', '.claude/CLAUDE.md': 'Be brief.\n' };

function putOwn(area: Area, name: string, text: string): void {
  const path = join(area.home, name);
  if (name.endsWith('/')) mkdirSync(path, { recursive: true });
  else {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  for (const made of [dirname(path), path]) if (made !== area.home) chownSync(made, area.identity.uid, area.identity.gid);
}

function layOut(area: Area): void {
  mkdirSync(area.project, { recursive: true });
  for (const name of readdirSync(area.project)) {
    if (!(name in before)) rmSync(join(area.project, name), { recursive: true });
  }
  for (const [name, text] of Object.entries(before)) writeFileSync(join(area.project, name), text);
  for (const name of readdirSync(area.project)) chownSync(join(area.project, name), area.identity.uid, area.identity.gid);
}

function scriptFor(project: string): Parameters<typeof startModelServer>[0] {
  return {
    closing: 'All done.',
    calls: [
      { name: 'Write', input: { file_path: join(project, 'new.txt'), content: afterwards['new.txt'] } },
      { name: 'Read', input: { file_path: join(project, 'edit.txt') } },
      { name: 'Edit', input: { file_path: join(project, 'edit.txt'), old_string: 'two', new_string: 'deux' } },
      { name: 'Bash', input: { command: 'echo the shell ran > ran.txt', description: 'write by shell' } },
      { name: 'Bash', input: { command: 'rm gone.txt', description: 'delete' } },
      { name: 'Bash', input: { command: 'cat edit.txt new.txt', description: 'look' } },
    ],
  };
}

/** Root may not skip permissions, so both name the tools. */
function flags(identity: 'root' | 'user'): readonly string[] {
  const permissions = identity === 'root'
    ? ['--allowedTools', 'Write', 'Edit', 'Read', 'Bash']
    : ['--dangerously-skip-permissions'];
  return ['-p', 'Do the four edits.', '--model', 'claude-sonnet-4-5', ...permissions];
}

function settings(model: ModelServer): Readonly<Record<string, string>> {
  return {
    ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'scripted-key', DISABLE_AUTOUPDATER: '1',
    DISABLE_TELEMETRY: '1', DISABLE_ERROR_REPORTING: '1', CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  };
}

function contentsOf(dir: string): Readonly<Record<string, string>> {
  return Object.fromEntries(readdirSync(dir).sort().map((name) => [name, readFileSync(join(dir, name), 'utf8')]));
}

function isAgentState(area: Area, path: string): boolean {
  const own = ['.claude', '.claude.json', '.cache', '.local', '.config'].map((name) => join(area.home, name));
  own.push(join(area.dir, 'tmp'));
  return own.some((root) => path === root || path.startsWith(`${root}/`) || path.startsWith(`${root}.`));
}
