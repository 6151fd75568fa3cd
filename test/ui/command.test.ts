/** The frame around each command. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { repository } from '../helpers/sandbox.js';

test('a command that never comes to its end has not succeeded', () => {
  const script = `
    const { AgentfwCommand } = await import(process.argv[1]);
    class Stuck extends AgentfwCommand { main() { return new Promise(() => undefined); } }
    void new Stuck([], {}).run();`;
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, join(repository, 'dist/ui/command.js')], { encoding: 'utf8' });

  expect([status, stderr]).toEqual([70, '']);
});
