/**
 * What is asked for wrongly: each refusal tells one thing to do that works,
 * with the status of DESIGN §13, and as one object where JSON was asked for.
 */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const [identity] = identities();
/** Root where the user's tests run apart. */
const plain = identities().at(-1)!;
let area: Area;

beforeAll(async () => {
  area = createArea(identity!);
  mkdirSync(join(area.project, 'src'));
  writeFileSync(join(area.project, 'odd.yaml'), 'version: 1\nfoo: 1\n');
  await area.cli(['run', '--tag', 'job', '--net', 'off', '--', 'sh', '-c', 'echo 1 > new']);
});
afterAll(() => area.remove());

needs('userns', 'overlay').describe('a refusal says what and what to do', () => {
  const refused: readonly (readonly [line: string, status: number, error: string, hint: string])[] = [
    ['commit job -p --dry-run', 2, 'There is no terminal to ask on.', 'Name what you choose: agentfw commit --yes PATH, or --hunk ID of agentfw diff --json --hunks'],
    ['commit job -i', 2, 'There is no terminal to ask on.', 'Name what you choose: agentfw commit --yes PATH, or --hunk ID of agentfw diff --json --hunks'],
    ['commit jobb', 1, 'There is no sandbox jobb, and job, which was started here, has nothing of that name.', 'Did you mean job?'],
    ['commit job src/none', 1, 'The sandbox has no change at $PROJECT/src/none', 'List them: agentfw diff job --name-only'],
    ['commit jobb --yes', 1, 'There is no sandbox jobb, and job, which was started here, has nothing of that name.', 'Did you mean job?'],
    ['discard jobb --yes', 1, 'There is no sandbox jobb, and job, which was started here, has nothing of that name.', 'Did you mean job?'],
    ['commit job --yes src/none', 1, 'The sandbox has no change at $PROJECT/src/none', 'List them: agentfw diff job --name-only'],
    ['commit job --yes --accept-control src/none', 1, 'The sandbox has no change at $PROJECT/src/none', 'List them: agentfw diff job --name-only'],
    ['commit job --dry-run --accept-control *.none --accept-control new', 1, 'The sandbox has no change at $PROJECT/*.none', 'List them: agentfw diff job --name-only'],
    ['commit job', 2, 'There is no terminal to ask on.', 'Say --yes to land it, or --dry-run to see what would'],
    ['diff job --hunks', 2, '--hunks needs --json.', 'Say both, or see agentfw diff --help'],
    ['commit job -p --hunk 1', 2, '--patch and --hunk can’t be used together.', 'See agentfw commit --help'],
    ['run --detach --tag ../x -- true', 125, 'A tag has 1 to 63 of a-z, 0-9, ".", "_", "-" and begins with a letter or digit.', 'For example: --tag fix-login'],
    ['run --passthrough= -- true', 125, '--passthrough: the path is empty.', 'Is a variable empty? The directory you are in is .'],
    ['run --share= -- true', 125, '--share: the path is empty.', 'Is a variable empty? The directory you are in is .'],
    ['exec job -- ', 127, 'The name of the program is empty.', 'Is a variable empty? agentfw exec fix-login -- git status'],
    ['log verify job --denied', 2, 'log verify reads every record: --denied is not for it.', 'See agentfw log --help'],
    ['approvals --forget junk', 1, 'No answer is kept for junk.', 'List them: agentfw approvals --stored'],
    ['policy explain host a.example:65536', 2, 'a.example:65536: a port is a number from 1 to 65535.', 'For example: example.org:443'],
    ['policy explain env ', 2, 'policy explain env: the subject is empty.', 'Is a variable empty?'],
    ['approvals --watch --stored', 2, '--stored and --watch can’t be used together.', 'See agentfw approvals --help'],
    ['export job -o src', 1, "Can't write $PROJECT/src.", 'Name a file in a directory where you can write, or - for stdout'],
    ['net allow job example.org', 1, 'Sandbox job is not running.', 'Rules for all runs: network in ~/.config/agentfw/policy.yaml'],
    ['policy junk', 2, 'There is no command policy junk', 'See agentfw policy --help'],
    ['policy check src', 1, "Can't use src: it is not a regular file.", 'Name a file of text that you can read'],
    ['run --policy src -- true', 125, "Can't use the policy file src: it is not a regular file", 'Name a file of text that you can read'],
    ['policy test odd.yaml', 1, 'The cases are not valid.', 'A table of cases, for example: {version: 1, cases: [{path: ./.env, expect: deny}]}'],
    ['policy explain host a.example --address junk', 2, '--address takes an IP address, not junk.', 'For example: agentfw policy explain host example.org --address 10.0.0.1'],
    ['policy explain path x --address 1.2.3.4', 2, '--address is about a host.', 'See agentfw policy explain --help'],
    ['policy explain host a.example --op write', 2, '--op is about a path.', 'See agentfw policy explain --help'],
  ];

  test.each(refused)('%s', async (line, status, error, hint) => {
    const said = await area.cli(line.split(' '));

    const lines = said.stderr.replaceAll(area.project, '$PROJECT').split('\n').filter((one) => !one.startsWith('Caused by:'));
    expect({ status: said.status, lines }).toEqual({ status, lines: [`Error: ${error}`, `Hint: ${hint}`, ''] });
    if (/^(?:run|exec) /.test(line) || line.includes('--hunks')) return;
    const asJson = await area.cli([...line.split(' '), '--json']);
    expect(asJson.status).toBe(status);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ version: 1, error: { hint: expect.any(String) as string } });
  });

  test('a home that is not UTF-8 is refused, as nothing in it could be hidden', async () => {
    const { status, stdout, stderr } = await area.native(['sh', '-c', 'HOME="$HOME/h$(printf "\\377")"; mkdir "$HOME"; exec "$@"', 'sh', ...area.argv(['run', '--rm', '--net', 'off', '--', 'echo', 'began'])]);

    expect(stderr).toMatch(/^Error: HOME is not valid UTF-8, .*\nHint: Set HOME to another path of the same directory, such as a bind mount\n$/);
    expect([status, stdout]).toEqual([125, '']);
  });

  test.skipIf(plain.uid === 0)('of a configuration that you may not enter the closed directory is named, however far above', async () => {
    const own = createArea(plain);
    const closed = join(own.dir, 'closed');
    mkdirSync(join(closed, 'config'), { recursive: true });
    chownSync(closed, plain.uid, plain.gid);
    chmodSync(closed, 0);

    const { stderr } = await own.cli(['policy', 'check'], { env: { XDG_CONFIG_HOME: join(closed, 'config') } });

    chmodSync(closed, 0o700);
    await own.remove();
    expect(stderr).toContain(`: you may not enter ${closed}\nHint: Run chmod u+x ${closed}\n`);
  });

  test('in colour it is the same words', async () => {
    const { stderr } = await area.cli(['diff', 'job', '-z'], { env: { NO_COLOR: '', FORCE_COLOR: '1' } });

    expect(stderr).toBe('\u001b[31mError:\u001b[39m --null needs --name-only.\n\u001b[36mHint:\u001b[39m Say both, or see agentfw diff --help\n');
  });
});
