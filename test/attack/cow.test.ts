/**
 * cow-edge-cases.md: each row of cow.py runs natively on a copy and in one
 * sandbox on the original; then the rows that may land are committed and the
 * host is compared with the native run.
 */
import { spawnSync } from 'node:child_process';
import { lstatSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { has, needs, type Prerequisite } from '../helpers/needs.js';
import { createArea, helpers, identities, jsonOf, python, repository, type Area, type Outcome } from '../helpers/sandbox.js';

type Tree = Readonly<Record<string, unknown>>;

const script = join(repository, 'test/attack/cow.py');
/** Rows that need a program which a bare machine lacks. */
const WITH: Readonly<Record<string, Prerequisite>> = { E55: 'acl' };
const listed = rowsOf();
const lacking = Object.keys(listed).filter((id) => WITH[id] !== undefined && !has(WITH[id]));
const rows = Object.fromEntries(Object.entries(listed).filter(([id]) => !lacking.includes(id)));
const landing = Object.keys(rows).filter((id) => !id.startsWith('keep-'));
const keeping = Object.keys(rows).filter((id) => id.startsWith('keep-'));
/** git writes times and inode numbers into its own files */
const timed = ['E35', 'E49'];

for (const identity of identities()) {
  needs('userns', 'overlay', 'python', 'git').describe(`copy-on-write rows as ${identity.name}`, () => {
    let area: Area;
    let native: Readonly<Record<string, string>>;
    let inside: Readonly<Record<string, string>>;
    let before: Tree;
    let after: Tree;
    let commit: Outcome;
    let [original, copy, kept] = ['', '', ''];

    beforeAll(async () => {
      area = createArea(identity);
      [original, copy, kept] = [join(area.project, 'rows'), join(area.dir, 'copy'), join(area.project, 'kept')];
      await area.native([python, script, 'make', original, ...landing]);
      await area.native([python, script, 'make', kept, ...keeping]);
      await area.native(['cp', '-a', original, copy]);
      before = await dump(area, area.project);
      native = jsonOf(await area.native([python, script, 'run', copy, ...landing]));
      const run = await area.cli(['run', '--tag', 'rows', '--net', 'off', '--', 'sh', '-c', [
        `"$0" "$1" run "$2" ${landing.join(' ')}`, `"$0" "$1" run "$3" ${keeping.join(' ')}`,
      ].join(' && '), python, script, original, kept]);
      expect(run.status, run.stderr).toBe(0);
      const [first = '', second = ''] = run.stdout.trim().split('\n');
      inside = { ...(JSON.parse(first) as object), ...(JSON.parse(second) as object) };
      after = await dump(area, area.project);
    });
    afterAll(() => area.remove(), 120_000);

    for (const [id, sentence] of Object.entries(rows)) {
      test(`${id.replace('keep-', '')} ${sentence}`, () => {
        expect(native[id] ?? 'ok', 'natively').toBe('ok');
        expect(inside[id], 'inside').toBe('ok');
      });
    }

    for (const id of lacking) needs(WITH[id] ?? 'acl').test(`${id} ${listed[id] ?? ''}`, () => undefined);

    test('E45 the host is as it was', () => {
      expect(differing(after, before)).toEqual([]);
    });

    test('E121 E65 `diff --name-only` lists each deletion, also those below replaced directories', async () => {
      const diff = await area.cli(['diff', '--tag', 'rows', '--json']);
      const changes = jsonOf<{ readonly changes: readonly { readonly path: string; readonly kind: string }[] }>(diff).changes;
      const deleted = changes.filter(({ kind }) => kind === 'delete').map(({ path }) => path.slice(original.length + 1));
      expect(deleted).toEqual(expect.arrayContaining(['E65/a/b/x', 'E65/a/b/y', 'E65/a/z', 'E85/a', 'E85/a/b/x', 'CW08/a/z', 'E51/f0', 'E51/f2999']));
    });

    test('E133 E45 copy-up noise is no change: a lock taken, a file opened for writing', async () => {
      const diff = await area.cli(['diff', '--tag', 'rows', '--name-only']);
      expect(diff.stdout).not.toMatch(/rows\/(E41\/d|WR19|KN16)\b/);
    });

    describe('after `commit --yes` of these rows', () => {
      let landed: Tree;
      let expected: Tree;
      beforeAll(async () => {
        commit = await area.cli(['commit', '--tag', 'rows', '--yes', '--', original]);
        landed = await dump(area, original);
        expected = await dump(area, copy);
      });

      test('it succeeds', () => {
        expect(commit.status, commit.stdout + commit.stderr).toBe(0);
      });

      // `mv` of a base directory copies (ADR 0008): what is written to the old file later stays there.
      const gaps = ['E81'];
      for (const id of landing.filter((name) => !timed.includes(name) && !gaps.includes(name))) {
        test(`${id} the host equals a native run`, () => {
          const of = (tree: Tree): Tree => Object.fromEntries(Object.entries(tree).filter(([path]) => path === id || path.startsWith(`${id}/`)));
          expect(differing(of(landed), of(expected))).toEqual([]);
        });
      }

      test('E35 the repository is whole', async () => {
        const status = await area.native(['git', '-C', join(original, 'E35'), 'fsck', '--strict']);
        expect(status.status, status.stderr).toBe(0);
      });

      test('E94 E99 no whiteout device and no attribute of the overlay is on the host', () => {
        const marks = Object.entries(landed).filter(([, entry]) => /overlay|"type":"other"/.test(JSON.stringify(entry)));
        expect(marks).toEqual([]);
      });

      test('the rest is still in the sandbox', async () => {
        const diff = await area.cli(['diff', '--tag', 'rows', '--name-only']);
        expect(diff.stdout).toContain('kept/keep-E38/f');
        expect(diff.stdout).not.toContain(`${original}/`);
      });
    });

    describe('what must not land as it is', () => {
      test('WR20 CW11 E38 setuid is stripped on commit and said', async () => {
        const done = await area.cli(['commit', '--tag', 'rows', '--yes', '--', join(kept, 'keep-E38')]);

        expect(statSync(join(kept, 'keep-E38/f')).mode & 0o6000).toBe(0);
        expect(statSync(join(kept, 'keep-E38/f')).mode & 0o777).toBe(0o755);
        expect(done.stdout + done.stderr).toMatch(/set-?uid/i);
      });

      test('E62 E106 a FIFO neither hangs a commit nor lands unasked', async () => {
        const done = await area.cli(['commit', '--tag', 'rows', '--yes', '--', join(kept, 'keep-E62')], { timeout: 120_000 });

        expect(done.status, done.stderr).not.toBeNull();
        expect(done.stderr).toContain('a FIFO lands only when asked for (--keep-special)');
        expect(exists(join(kept, 'keep-E62/fifo'))).toBe(false);
        expect(lstatSync(join(kept, 'keep-E62/old')).isFIFO()).toBe(true);
      });

      test('CW19 a commit to one of two hard-linked names keeps the link, and the diff says that there are two', async () => {
        const diff = await area.cli(['diff', '--tag', 'rows', '--stat', '--', join(kept, 'keep-CW19')]);
        expect(diff.stdout).toMatch(/keep-CW19\/one +\+1 -1  \(one of 2 names of a file\)$/m);
        const done = await area.cli(['commit', '--tag', 'rows', '--yes', '--', join(kept, 'keep-CW19')]);

        expect(done.status, done.stderr).toBe(0);
        const [one, two] = [join(kept, 'keep-CW19/one'), join(kept, 'keep-CW19/two')];
        expect([readFileSync(one, 'utf8'), readFileSync(two, 'utf8')]).toEqual(['y', 'y']);
        expect(statSync(one).ino).toBe(statSync(two).ino);
      });

      test('CW20 600 levels deep and 3,000 files wide are shown and land', async () => {
        const diff = await area.cli(['diff', '--tag', 'rows', '--name-only', '--', join(kept, 'keep-CW20')]);
        expect(diff.stdout.split('\n').length).toBeGreaterThan(3_000);

        const done = await area.cli(['commit', '--tag', 'rows', '--yes', '--', join(kept, 'keep-CW20')]);
        expect(done.status, done.stderr).toBe(0);
        expect(exists(join(kept, 'keep-CW20', 'deep/'.repeat(600), 'bottom'))).toBe(true);
      });
    });
  });
}

function rowsOf(): Readonly<Record<string, string>> {
  const { status, stdout } = spawnSync(python, [script, 'list'], { encoding: 'utf8' });
  return status === 0 ? JSON.parse(stdout) as Record<string, string> : {};
}

async function dump(area: Area, tree: string): Promise<Tree> {
  return jsonOf<Tree>(await area.native([python, join(helpers, 'ops.py'), 'dump', tree]));
}

function differing(actual: Tree, expected: Tree): readonly string[] {
  return [...new Set([...Object.keys(actual), ...Object.keys(expected)])].sort()
    .filter((path) => JSON.stringify(actual[path]) !== JSON.stringify(expected[path]))
    .map((path) => `${JSON.stringify(path)} is ${JSON.stringify(actual[path])} instead of ${JSON.stringify(expected[path])}`);
}

function exists(path: string): boolean {
  try {
    return lstatSync(path) !== undefined;
  } catch {
    return false;
  }
}
