/** Completion as shells do it: the scripts that `agentfw completion` prints, asked by the shells themselves. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isSecondRun } from '../helpers/needs.js';
import { createArea, identities, type Area } from '../helpers/sandbox.js';

const [identity] = identities();
let area: Area;
beforeAll(() => {
  area = createArea(identity!);
  mkdirSync(join(area.dir, 'places/sandboxes/fix-login'), { recursive: true });
});
afterAll(() => area.remove());

async function bash(line: string): Promise<readonly string[]> {
  const { stdout: script } = await area.cli(['completion', 'bash']);
  const ask = `${script}\nCOMP_WORDS=(${line}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _agentfw; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await area.native(['env', `AGENTFW_STATE_DIR=${join(area.dir, 'places')}`, 'bash', '--norc', '-c', ask]);
  expect(stderr).toBe('');
  return stdout.split('\n').filter((word) => word !== '');
}

describe.skipIf(isSecondRun)('in bash', () => {
  test.each([
    ['agentfw comm', ['commit']],
    ['agentfw policy ex', ['explain']],
    ['agentfw help thaw', ['thaw']],
    ['agentfw diff --st', ['--stat']],
    ['agentfw commit fix', ['fix-login']],
    ['agentfw run --in ""', ['fix-login']],
    ['agentfw run --net ""', ['off', 'allow', 'ask', 'deny']],
    ['agentfw commit fix-login --take ""', []],
    // From its name on they are the agent's own words; what the shell offers by itself is file names.
    ['agentfw run claude --ta', []],
    ['agentfw run --tag x -- claude --ta', []],
    ['agentfw exec fix-login ""', ['--']],
  ])('%s', async (line, words) => {
    expect(await bash(line)).toEqual(words);
  });
});

test('what is printed for each shell is a script that it can read', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stdout } = await area.cli(['completion', shell]);
    expect(status).toBe(0);
    expect(stdout).toContain(`agentfw completion ${shell}`);
    const read = await area.native(['sh', '-c', `command -v ${shell} > /dev/null || exit 0; ${shell} -n -c "$0"`, stdout]);
    expect(read.status, `${shell}: ${read.stderr}`).toBe(0);
  }
  const { status, stderr } = await area.cli(['completion', 'tcsh']);
  expect(status).toBe(2);
  expect(stderr).toContain('agentfw completion bash|zsh|fish');
});
