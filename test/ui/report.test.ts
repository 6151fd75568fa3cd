/** Where `run --report` may write, and what becomes of what stands there. */
import { spawnSync } from 'node:child_process';
import { closeSync, lstatSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fromText } from '../../src/bytes.js';
import type { Bytes } from '../../src/bytes.js';
import { usageError } from '../../src/errors.js';
import { failedReport, reportFile } from '../../src/ui/report.js';

let dir: string;
beforeAll(() => { dir = mkdtempSync(join(tmpdir(), 'agentfw-report-')); });
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const at = (name: string): string => join(dir, name);
const report = (name: string) => reportFile(fromText(at(name)), false);

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
  expect(() => reportFile('\xff' as Bytes, false)).toThrow('is not valid UTF-8');
});

test('a place that can\'t be written is refused before the run, and what a killed one left is in nobody\'s way', () => {
  expect(() => report('none/report')).toThrow(`--report: can't write in ${at('none')}: ENOENT`);
  mkdirSync(at('directory'));
  expect(() => report('directory')).toThrow(`--report: ${at('directory')} is a directory`);

  symlinkSync('target', at(`.agentfw-report.${process.pid}`));
  expect(report('new').write({ again: true })).toBeNull();
  expect([readFileSync(at('target'), 'utf8'), JSON.parse(readFileSync(at('new'), 'utf8'))]).toEqual(['mine', { again: true }]);
});

test('nor is what came there during the run', () => {
  const { write } = report('later');
  spawnSync('mkfifo', [at('later')]);

  expect(write({})).toBe(`can't write the report ${at('later')}: it is no regular file any more`);
  expect(lstatSync(at('later')).isFIFO()).toBe(true);
});

test('what is open already is written to, not replaced: /dev/stdout would be gone for the machine', () => {
  const fd = openSync(at('open'), 'w');
  const lines = { stdout: '/dev/stdout', stderr: '/dev/stderr', open: `/dev/fd/${fd}` };

  expect(reportFile(fromText(lines.open), false).write({ a: 1 })).toBeNull();
  expect(JSON.parse(readFileSync(at('open'), 'utf8'))).toEqual({ a: 1 });
  for (const name of Object.values(lines)) expect(() => reportFile(fromText(name), true)).toThrow('not there any more when a detached sandbox ends');
  closeSync(fd);
  for (const name of [`/dev/fd/${fd}`, '/proc/self/fd/99999']) expect(() => reportFile(fromText(name), false)).toThrow('is not open for writing');
});

test('nor are descriptors taken that were opened to read, or that Node keeps for itself', () => {
  const fd = openSync(at('open'), 'r');
  const links = readdirSync('/proc/self/fd').map((name) => ({ name, link: linkAt(name) }));
  // Both ends of a pipe are here.
  const own = links.filter(({ name, link }) => Number(name) > 2 && (link.startsWith('anon_inode:') || (link.startsWith('pipe:') && links.filter((other) => other.link === link).length > 1))).map(({ name }) => name);

  expect(own.length).toBeGreaterThan(0);
  for (const name of [fd, ...own]) expect(() => reportFile(fromText(`/dev/fd/${name}`), false), String(name)).toThrow('is not open for writing');
  closeSync(fd);
});

function linkAt(name: string): string {
  return lstatSync(`/proc/self/fd/${name}`, { throwIfNoEntry: false }) === undefined ? '' : readlinkSync(`/proc/self/fd/${name}`);
}

test('of a run whose agent never started there are the error and the status', () => {
  expect(failedReport(usageError('What.', 'Do'), 125)).toEqual({ version: 1, error: { code: 'AFW_USAGE', message: 'What.', causes: [], hint: 'Do' }, status: 125 });
});
