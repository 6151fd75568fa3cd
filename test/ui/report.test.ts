/** Where `run --report` may write, and what becomes of what stands there. */
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { Bytes } from '../../src/bytes.js';
import { reportFile } from '../../src/ui/report.js';

let dir: string;
beforeAll(() => { dir = mkdtempSync(join(tmpdir(), 'agentfw-report-')); });
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const at = (name: string): string => join(dir, name);
const report = (name: string) => reportFile(fromText(at(name)));

test('a file is replaced, and a link by the file, whatever it leads to', () => {
  writeFileSync(at('target'), 'mine');
  symlinkSync('target', at('link'));

  for (const name of ['new', 'new', 'link', 'r'.repeat(255)]) expect(report(name).write({ name })).toBeNull();
  expect(lstatSync(at('link')).isFile()).toBe(true);
  expect(readFileSync(at('target'), 'utf8')).toBe('mine');
  expect(JSON.parse(readFileSync(at('new'), 'utf8'))).toEqual({ name: 'new' });
  expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
});

test('a device, or what leads to one, and a pipe are refused before the run: nothing may take their place', () => {
  symlinkSync('/dev/null', at('device'));
  spawnSync('mkfifo', [at('pipe')]);

  for (const name of ['device', 'pipe']) expect(() => report(name), name).toThrow(`--report: ${at(name)} is no regular file, and would be replaced by one`);
  expect(() => reportFile('\xff' as Bytes)).toThrow('is not valid UTF-8');
});

test('nor is what came there during the run', () => {
  const { write } = report('later');
  spawnSync('mkfifo', [at('later')]);

  expect(write({})).toBe(`can't write the report ${at('later')}: it is no regular file any more`);
  expect(lstatSync(at('later')).isFIFO()).toBe(true);
});
