import { expect, test } from 'vitest';
import type { Bytes } from '../../src/bytes.js';
import { NO_LANDED, type CommitResult } from '../../src/changes/result.js';
import { resultJson, sayResult } from '../../src/ui/commits.js';
import type { Printer } from '../../src/ui/print.js';

test('what took a commit back is told exactly, and what is UTF-8 as text alone', () => {
  const counts = { add: 0, modify: 0, delete: 0, type: 0, metadata: 0 };
  const failed = (path: string | null): unknown => resultJson({ id: 'x', state: 'rolled-back', digest: '', landed: NO_LANDED, refused: [], counts, error: { code: 'EIO', path: path as Bytes | null, text: 'it failed' } })['error'];

  expect(failed('/a\xff')).toEqual({ code: 'EIO', path: '/a\ufffd', pathBytes: Buffer.from([0x2f, 0x61, 0xff]).toString('base64'), text: 'it failed' });
  expect(failed('/a')).toEqual({ code: 'EIO', path: '/a', text: 'it failed' });
  expect(failed(null)).toEqual({ code: 'EIO', path: null, text: 'it failed' });
});

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
