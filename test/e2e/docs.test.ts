/** What README.md, docs/json.md, docs/errors.md and the examples of each `--help` show, against what the commands say. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COMMANDS } from '../../src/ui/main.js';
import { needs } from '../helpers/needs.js';
import { createArea, identities, repository, unnoticed, type Area } from '../helpers/sandbox.js';

const read = (name: string): string => readFileSync(join(repository, name), 'utf8');
const json = read('docs/json.md');
const howto = read('docs/howto.md').replace(/^```.*?^```$/gms, '');
const wordsIn = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);

/** The table: commands, and what is said of their fields. */
const rows = [...json.matchAll(/^\| (`.*?`) \| (.*) \|$/gm)].map(([, names = '', text = '']) => ({ names: wordsIn(names), text }));

/** SANDBOX and RESULT are told once, below the table. */
function fieldsOf(name: string): string[] {
  const text = rows.find(({ names }) => names.includes(name))?.text ?? '';
  const shared = ['SANDBOX', 'RESULT'].filter((word) => text.includes(word)).map((word) => json.slice(json.indexOf(`\n${word}: `)).split('\n\n')[0] ?? '');
  return ['version', ...wordsIn([text, ...shared].join(' '))];
}

test('docs/json.md has each command that takes --json', () => {
  const told = new Set(rows.flatMap(({ names }) => names));

  expect(Object.keys(COMMANDS).filter((name) => !told.has(name) && name !== 'export').sort()).toEqual(['exec', 'run', 'shell']);
});

test('docs/errors.md has each code that an error can have, and no other', () => {
  const source = readdirSync(join(repository, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts')).map((name) => read(join('src', name))).join('\n');
  const codes = (text: string): string[] => [...new Set(text.match(/AFW_[A-Z_]*[A-Z]\b/g) ?? [])].sort();

  expect(codes(read('docs/errors.md'))).toEqual(codes(source));
});

needs('userns', 'overlay').describe('as documented', () => {
  let area: Area;

  beforeAll(() => {
    area = createArea(identities().at(-1)!);
    mkdirSync(join(area.dir, 'bin'));
    writeFileSync(join(area.dir, 'bin/agentfw'), `#!/bin/sh\nexec ${area.argv([]).join(' ')} "$@"\n`, { mode: 0o755 });
  });
  afterAll(() => area.remove());

  /** One line of a shell, all that it says. */
  async function shell(line: string, cwd: string): Promise<string> {
    const env = { PATH: `${join(area.dir, 'bin')}:${area.env['PATH'] ?? ''}` };
    return unnoticed((await area.native(['bash', '-c', `{ ${line}\n} 2>&1`], { cwd, env })).stdout);
  }

  test('what README.md shows is word for word what happens, but for ids and what it leaves out', async () => {
    const [, transcript = ''] = /^```console\n(.*?)^```$/ms.exec(read('README.md')) ?? [];
    const [first, ...steps] = transcript.split(/^\$ /m).slice(1).map((step) => /^(.*)\n([^]*)$/.exec(step)?.slice(1) ?? []);
    expect(await shell(first?.[0] ?? '', repository)).toBe('');
    const plain = (text: string): string => text.replaceAll('/home/ada', area.home).replace(/sha256:[0-9a-f]{64}|\b[0-9a-z]{26}\b/g, 'ID');

    for (const [line = '', shown = ''] of steps) {
      const said = plain(await shell(line, join(area.home, 'hello')));
      const pattern = plain(shown).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&').replaceAll('…\n', '(?:.*\\n)+?');
      expect(said, line).toMatch(new RegExp(`^${pattern}$`));
    }
    expect(steps.length).toBeGreaterThan(5);
  });

  test('the examples of each `--help`, and the lines of docs/howto.md, are command lines that are taken', async () => {
    const { commands } = JSON.parse(read('oclif.manifest.json')) as { commands: Record<string, { id: string; examples?: string[] }> };
    const told = wordsIn(howto).filter((word) => word.startsWith('agentfw '));
    const examples = new Set([...Object.values(commands).flatMap(({ examples = [] }) => examples), ...told].filter((line) => !line.startsWith('agentfw run ')));
    expect(examples.size).toBeGreaterThan(40);
    for (const line of examples) expect(await shell(`mkdir -p elsewhere; cd elsewhere; HOME=$PWD; ${line}; echo "status $?"`, area.project), line).not.toMatch(/^(?!Error: There is no terminal)[^]*status 2$/);
  });

  test('the CI job of docs/howto.md leaves its artefacts, and says by its status that something waits', async () => {
    const [, job = ''] = /^```sh\n(set -e\n.*?)^```$/ms.exec(read('docs/howto.md')) ?? [];
    writeFileSync(join(area.project, 'policy.yaml'), 'version: 1\nchanges: {commit: ["./src/**"]}\n');
    writeFileSync(join(area.dir, 'bin/claude'), '#!/bin/sh\nmkdir -p src; echo fixed > src/a; echo waits > b\n', { mode: 0o755 });

    expect(await shell(`sh -c '${job}'; echo "status $?"`, area.project)).toMatch(/status 3\n$/);
    expect(readFileSync(join(area.project, 'src/a'), 'utf8')).toBe('fixed\n');
    expect(readFileSync(join(area.project, 'changes.patch'), 'utf8')).toContain('+waits');
    expect(JSON.parse(readFileSync(join(area.project, 'report.json'), 'utf8'))).toMatchObject({ status: 3, landed: 2, counts: { escalate: 1 } });
    expect(JSON.parse(readFileSync(join(area.project, 'audit.json'), 'utf8'))).toMatchObject({ tag: 'job' });
  });

  test('what docs/howto.md says a container needs is what doctor says', () => {
    const told = read('src/sandbox/doctor-words.ts');
    const cells = [...read('docs/howto.md').matchAll(/^\| (?:Docker|Podman) \| `(.*)` \|$/gm)].map(([, flags = '']) => flags);

    expect(cells).toHaveLength(2);
    for (const flags of cells) expect(told).toContain(flags);
  });

  test('docs/store.md tells of all that lies in a store', async () => {
    const run = ['run', '--detach', '--net', 'deny', '--tag', 'stored', '--', 'sh', '-c', 'echo x > new; sleep 1'];
    expect(await area.cli(run)).toMatchObject({ status: 0 });
    expect(await area.cli(['commit', 'stored', '--live', '--yes'])).toMatchObject({ status: 0 });
    const told = new Set([...read('docs/store.md').matchAll(/^ {4}(?: {2})?(\S+?)\/?(?:\/\S*)? {2,}/gm)].map(([, name = '']) => name));
    const lying = [area.state, join(area.state, 'sandboxes/stored')].flatMap((dir) => readdirSync(dir));

    expect(lying.length).toBeGreaterThan(15);
    expect(lying.filter((name) => !told.has(name) && !name.startsWith('audit.'))).toEqual([]);
  });

  test('the store is removed by the line of docs/howto.md', async () => {
    const line = wordsIn(howto).find((word) => word.startsWith('chmod -R ')) ?? '';
    const state = join(area.dir, 'leaving');
    const job = 'mkdir -p ../other/locked; echo x > ../other/locked/new; chmod 0 ../other/locked';
    expect(await area.cli(['run', '--net', 'off', '--', 'sh', '-c', job], { env: { AGENTFW_STATE_DIR: state } })).toMatchObject({ status: 0 });

    expect(await shell(line.replaceAll('~/.local/state/agentfw', state), area.project)).toBe('');
    expect(existsSync(state)).toBe(false);
  });

  const commands = [
    'list', 'status', 'diff', 'commit --dry-run', 'commit', 'undo', 'log', 'log verify', 'log --commits', 'approvals', 'recover', 'prune', 'kill', 'doctor',
    'policy check', 'policy show', 'policy explain', 'policy test', 'policy diff', 'policy init', 'policy trust', 'policy untrust', 'discard',
  ];
  const words: Readonly<Record<string, string>> = {
    'commit': '--yes', 'prune': '--dry-run', 'policy explain': 'path x', 'policy test': 'cases.yaml', 'policy diff': 'a.yaml a.yaml', 'policy trust': '--yes', 'discard': '--yes',
  };

  test('each object has the fields of docs/json.md and no others', async () => {
    writeFileSync(join(area.project, 'cases.yaml'), 'version: 1\ncases: [{path: ./x, expect: allow}]\n');
    for (const name of ['a.yaml', '.agentfw.yaml']) writeFileSync(join(area.project, name), 'version: 1\n');
    expect(await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', 'echo 1 > new'])).toMatchObject({ status: 0 });

    for (const command of commands) {
      const { stdout, stderr } = await area.cli([...`${command} ${words[command] ?? ''}`.trim().split(' '), '--json']);
      const untold = Object.keys(JSON.parse(stdout) as object).filter((key) => !fieldsOf(command).includes(key));
      expect(untold, `${command}: ${stdout.slice(0, 300)} ${stderr}`).toEqual([]);
    }
  });
});
