/** What of the agent's own program is shown where the view is otherwise private. */
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromText, toText } from '../../src/bytes.js';
import { programPaths } from '../../src/sandbox/program.js';

let dir: string;
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'agentfw-program-')));
});
afterEach(() => rmSync(dir, { recursive: true }));

const pathsOf = (script: string): readonly string[] => programPaths(fromText(script), fromText(dir), '/usr/bin:/bin').map(toText);

test('the interpreter that a script names is shown with it', () => {
  writeFileSync(join(dir, 'tool'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(dir, 'script'), `#!${join(dir, 'tool')}\n`, { mode: 0o755 });

  expect(pathsOf('./script')).toEqual(expect.arrayContaining([join(dir, 'script'), join(dir, 'tool'), '/bin/sh']));
});

test('IP16 a file that a script only claims to be run by is not', () => {
  const secret = join(dir, 'auth.json');
  writeFileSync(secret, '{}', { mode: 0o600 });
  for (const line of [`#!/usr/bin/env -S -u ${secret} sh`, `#!${secret}`]) {
    writeFileSync(join(dir, 'script'), `${line}\n`);
    chmodSync(join(dir, 'script'), 0o755);
    expect(pathsOf('./script')).not.toContain(secret);
  }
});
