import { expect, test } from 'vitest';
import { NO_LANDED, type CommitResult } from '../../src/changes/result.js';
import { sayResult } from '../../src/ui/commits.js';
import type { Printer } from '../../src/ui/print.js';

test.each([
  ['ENOSPC: no space left on device, write'],
  ['Sandbox job did not stay as it was: a program woke while its changes were copied.'],
])('why nothing landed is one sentence: %s', (text) => {
  const said: string[] = [];
  const printer = { say: (line: string) => said.push(line), paintErr: (_: string, word: string) => word } as unknown as Printer;
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0 };
  const result: CommitResult = { id: 'x', state: 'rolled-back', digest: '', landed: NO_LANDED, refused: [], counts, error: { code: 'X', path: null, text } };

  sayResult(printer, result, 'Landed');

  expect(said).toEqual([`Nothing landed: ${text.replace(/\.$/, '')}. The host is as it was.`]);
});
