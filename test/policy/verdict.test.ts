import { describe, expect, test } from 'vitest';
import type { JudgedChange } from '../../src/changes/change.js';
import type { Stat } from '../../src/kernel/kernel.js';
import { judgeChanges, type Ending } from '../../src/policy/index.js';
import { at, policyOf } from './make.js';

const stat = (size = 1, mode = 0o100644): Stat => ({ dev: 1n, ino: 1n, mode, nlink: 1, uid: 0, gid: 0, rdev: 0n, size, blocks: 1, atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n, btimeNs: 0n });
const change = (path: string, more: Partial<JudgedChange> = {}): JudgedChange => ({
  path: at(path), kind: 'modify', from: null, type: 'file', oldType: null, upper: stat(), base: stat(), at: { layer: 0, path: at(path) }, opaque: false, implied: false,
  target: null, meta: [], content: true, class: 'normal', reason: null, conflict: null, verdict: null, rule: null, ...more,
});
const ok: Ending = { code: 0, keep: false };
const user = 'version: 1\nchanges: {commit: ["./src/**"], discard: ["./tmp/**"], escalate: ["./src/keep"]}\n';

async function verdicts(changes: JudgedChange[], ending = ok, text = user, profile = 'generic') {
  const judged = judgeChanges(await policyOf({ user: text, profile }), changes, ending);
  return { ...judged, list: judged.changes.map(({ verdict, rule }) => [verdict, rule]) };
}

describe('how the run ended', () => {
  test('status 0 lands, drops and leaves the rest', async () => {
    const { counts, held } = await verdicts([change('./src/a'), change('./tmp/x'), change('./README')]);

    expect(counts).toEqual({ commit: 1, discard: 1, escalate: 1 });
    expect(held).toBeNull();
  });

  test.each([[1, 'status 1'], [null, 'did not end by itself']])('status %s lands nothing by itself', async (code, why) => {
    const { list, held } = await verdicts([change('./src/a'), change('./tmp/x')], { code, keep: false });

    expect(list).toEqual([['escalate', 'exit.status'], ['discard', 'changes.discard:./tmp/**']]);
    expect(held).toContain(why);
  });

  test('an agent state file lands at any status', async () => {
    const { list } = await verdicts([change('~/.claude.json', { class: 'control' })], { code: 1, keep: false }, 'version: 1\n', 'claude-code');

    expect(list).toEqual([['commit', 'state.claude-code']]);
  });

  test('`--on-exit keep` turns all of it off', async () => {
    const { counts } = await verdicts([change('./src/a'), change('./tmp/x')], { code: 0, keep: true });

    expect(counts).toEqual({ commit: 0, discard: 0, escalate: 2 });
  });
});

describe('a deleted directory and what goes with it', () => {
  test('CW20 is judged as one however deep it is, in a time that grows with it', async () => {
    const levels = 4000;
    const dirs = Array.from({ length: levels }, (_, depth) => change(`./src${'/d'.repeat(depth)}${depth === levels - 1 ? '/odd' : ''}`, { kind: 'delete', type: 'dir', oldType: 'dir', upper: null, implied: depth > 0 }));
    const began = performance.now();
    const { list } = await verdicts(dirs, ok, `version: 1\nchanges: {commit: ["./src/**", "./src"], escalate: ["./src/**/odd"], thresholds: {deletions: 1000000}}\n`);

    expect(performance.now() - began).toBeLessThan(10_000);
    expect(new Set(list.map(([verdict]) => verdict))).toEqual(new Set(['escalate']));
    expect(list[0]?.[1]).toMatch(/^changes\.escalate:/);
  }, 60_000);
});

describe('thresholds', () => {
  const many = (n: number, more: Partial<JudgedChange>): JudgedChange[] => Array.from({ length: n }, (_, i) => change(`./src/${i}`, more));

  test.each([
    ['deletions', '2', many(3, { kind: 'delete', upper: null }), '3 deletions, more than 2'],
    ['files', '2', many(3, {}), '4 changed files, more than 2'],
    ['bytes', '1kB', [change('./src/a', { upper: stat(1500) })], '1.5kB of changes, more than 1kB'],
    ['executables', '0', [change('./src/a', { upper: stat(1, 0o100755) })], '1 new executables, more than 0'],
    ['types', '0', [change('./src/a', { type: 'fifo' })], '1 changes of type or special files, more than 0'],
  ])('beyond `%s` everything escalates with the reason', async (name, limit, changes, text) => {
    const { list, held } = await verdicts([...changes, change('./src/last')], ok, `version: 1\nchanges: {commit: ["./src/**"], thresholds: {${name}: ${limit}}}\n`);

    expect(list.every(([verdict, rule]) => verdict === 'escalate' && rule === `changes.thresholds.${name}`)).toBe(true);
    expect(held).toBe(text);
  });

  test('what is discarded does not count', async () => {
    const { counts } = await verdicts([change('./src/a'), ...Array.from({ length: 60 }, (_, i) => change(`./tmp/${i}`, { kind: 'delete', upper: null }))]);

    expect(counts.commit).toBe(1);
  });

  test('a file that was executable before is no new executable', async () => {
    const { counts } = await verdicts([change('./src/a', { upper: stat(1, 0o100755), base: stat(1, 0o100755) })], ok, 'version: 1\nchanges: {commit: ["./src/**"], thresholds: {executables: 0}}\n');

    expect(counts.commit).toBe(1);
  });
});

describe('directories', () => {
  test('a deleted directory waits when anything in it waits', async () => {
    const gone = { kind: 'delete', upper: null } as const;
    const { list } = await verdicts([change('./src/d', { ...gone, type: 'dir' }), change('./src/d/a', { ...gone, implied: true }), change('./src/d/b', { ...gone, implied: true, class: 'control' })]);

    expect(list.map(([verdict]) => verdict)).toEqual(['escalate', 'escalate', 'escalate']);
  });

  test('a deleted directory whose whole content may go, goes', async () => {
    const gone = { kind: 'delete', upper: null } as const;
    const { counts } = await verdicts([change('./src/d', { ...gone, type: 'dir' }), change('./src/d/a', { ...gone, implied: true })]);

    expect(counts.commit).toBe(2);
  });

  test('a new directory goes the way of what it holds', async () => {
    const dir = { kind: 'add', type: 'dir', base: null } as const;
    const text = 'version: 1\nchanges: {commit: ["./lib/**/*.ts"], discard: ["./out/**/*.o"]}\n';
    const { list } = await verdicts([change('./lib', dir), change('./lib/x', dir), change('./lib/x/a.ts'), change('./out', dir), change('./out/a.o'), change('./empty', dir)], ok, text);

    expect(list.map(([verdict]) => verdict)).toEqual(['commit', 'commit', 'commit', 'discard', 'discard', 'escalate']);
  });

  test('an added state directory of an agent is no needless escalation', async () => {
    const dir = { kind: 'add', type: 'dir', base: null, class: 'control' } as const;
    const { counts } = await verdicts([change('~/.codex', dir), change('~/.codex/auth.json', { kind: 'add', base: null, class: 'control' })], { code: 1, keep: false }, 'version: 1\n', 'codex');

    expect(counts).toEqual({ commit: 2, discard: 0, escalate: 0 });

    const empty = [change('~/.gemini/tmp/p', dir), change('~/.gemini/tmp/p/chats', dir)];
    expect((await verdicts(empty, { code: 1, keep: false }, 'version: 1\n', 'gemini-cli')).counts).toEqual({ commit: 2, discard: 0, escalate: 0 });
    const gone = { kind: 'delete', type: 'dir', class: 'control' } as const;
    expect((await verdicts([change('~/.gemini/tmp/p/chats', gone)], { code: 0, keep: false }, 'version: 1\n', 'gemini-cli')).counts.escalate).toBe(1);
  });
});
