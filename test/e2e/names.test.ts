/** Lists and exports for programs: names that a line can't hold, and words that name nothing. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const [identity] = identities();
let area: Area;

needs('userns', 'overlay').describe('names for programs', () => {
  beforeAll(async () => {
    area = createArea(identity!);
    const run = await area.cli(['run', '--tag', 'box', '--net', 'off', '--', 'sh', '-c', `echo >"$(printf 'a\\nb')"; echo >'q"b'; echo >é; echo >'s p'`]);
    expect(run.status, run.stderr).toBe(0);
  });
  afterAll(() => area.remove());

  test('a line of `--name-only` is one name, quoted as git does; -z gives the bytes', async () => {
    const top = area.project;
    expect((await area.cli(['diff', 'box', '--name-only'])).stdout).toBe(`"${top}/a\\nb"\n"${top}/q\\"b"\n${top}/s p\n${top}/é\n`);
    const paths = `${top}/a\nb\0${top}/q"b\0${top}/s p\0${top}/é\0`;
    for (const words of [['-z'], ['--null', '--class', 'normal']]) expect((await area.cli(['diff', 'box', '--name-only', ...words])).stdout).toBe(paths);
    expect((await area.cli(['diff', 'box', '-z'])).status).toBe(2);
  });

  test('what comes along unasked is told exactly in JSON, be its name UTF-8 or not', async () => {
    const made = await area.cli(['run', '--tag', 'odd', '--net', 'off', '--', 'sh', '-c', `d="$(printf 'd\\377')"; mkdir "$d"; echo >"$d/f"`]);
    expect(made.status, made.stderr).toBe(0);
    const dir = Buffer.concat([Buffer.from(`${area.project}/d`), Buffer.from([0xff])]);
    const words = (line: string): readonly string[] => ['sh', '-c', `exec "$@" "$(printf 'd\\377/f')"`, 'sh', ...area.argv(line.split(' '))];
    const added = { added: [`${area.project}/d\ufffd`], addedBytes: [dir.toString('base64')] };
    for (const line of ['commit odd --dry-run --json', 'commit odd --yes --json']) {
      expect(JSON.parse((await area.native(words(line))).stdout)).toMatchObject(added);
    }
  });

  test('an export of no changes says so', async () => {
    const run = await area.cli(['run', '--tag', 'idle', '--net', 'off', '--', 'true']);
    expect(run.status, run.stderr).toBe(0);
    expect(await area.cli(['export', 'idle'])).toMatchObject({ status: 0, stdout: '', stderr: 'Sandbox idle has no changes.\n' });
  });

  test('an export of what is not there is refused, and writes nothing', async () => {
    const file = join(area.home, 'out');
    for (const words of [['nothing'], ['é', 'nothing']]) {
      expect(await area.cli(['export', 'box', '-o', file, '--', ...words])).toMatchObject({ status: 1, stderr: `Error: The sandbox has no change at ${area.project}/nothing\nHint: List them: agentfw diff box --name-only\n` });
    }
    for (const format of ['patch', 'tar', 'oci']) {
      expect(await area.cli(['export', 'box', '-o', file, '--format', format, '--root', 'nope'])).toMatchObject({ status: 1, stderr: `Error: None of the changes lies in ${area.project}/nope.\nHint: Give --root a directory that they lie in\n` });
    }
    expect(existsSync(file)).toBe(false);
  });
});
