import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect } from 'vitest';
import { indexMeaning } from '../../../src/changes/git/index-meaning.js';
import { trackedPaths } from '../../../src/sandbox/git-index.js';
import { needs } from '../../helpers/needs.js';
import { tempDir } from '../../kernel/temp.js';

const { test } = needs('git');
const HASH = 20;

/** A repository with every kind of entry, and a way to run git in it. */
function repository(version = 2, ...options: readonly string[]): { readonly git: (script: string) => void; readonly index: () => Buffer } {
  const dir = tempDir();
  const git = (script: string): void => {
    execFileSync('bash', ['-euc', script], { cwd: dir, stdio: 'ignore', env: { PATH: process.env['PATH'], HOME: dir, GIT_CONFIG_NOSYSTEM: '1', GIT_AUTHOR_NAME: 'n', GIT_AUTHOR_EMAIL: 'e', GIT_COMMITTER_NAME: 'n', GIT_COMMITTER_EMAIL: 'e' } });
  };
  git(`git init -q ${options.join(' ')} .; git config index.version ${version}; mkdir -p d/e; for n in a bb ccc d/long-name d/e/x; do echo $n >$n; done; ln -s a l; chmod +x a; git add .; git update-index --force-write-index --index-version ${version}; git commit -qm one`);
  return { git, index: () => readFileSync(join(dir, '.git/index')) };
}

/** The same file with the right hash at its end. */
function sealed(index: Buffer): Buffer {
  const body = index.subarray(0, index.length - HASH);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

const TOUCH = 'touch -d 2001-01-01 a d/e/x; git status';
const VERSIONS = [2, 3, 4];

describe('what a git index says', () => {
  test('stays the same over git status, whatever the version and the extensions', () => {
    for (const version of VERSIONS) {
      const { git, index } = repository(version);
      git('git update-index --untracked-cache --skip-worktree ccc; git config index.threads 2');
      const before = index();

      git(TOUCH);

      expect(index().equals(before), `version ${version}`).toBe(false);
      expect(indexMeaning(before)).toMatch(/^[0-9a-f]{64}$/);
      expect(indexMeaning(index())).toBe(indexMeaning(before));
      expect(trackedPaths(index())).toHaveLength(6);
    }
  });

  test('stays the same with SHA-256, and without a hash at the end', () => {
    const { git, index } = repository(2, '--object-format=sha256');
    const before = index();
    git(TOUCH);
    expect(index().equals(before)).toBe(false);
    expect(indexMeaning(index())).toBe(indexMeaning(before));

    const bare = Buffer.from(before);
    bare.fill(0, bare.length - 32);
    expect(indexMeaning(bare)).toBe(indexMeaning(before));
  });

  test('is another after each git command that changes it', () => {
    const { git, index } = repository(3);
    const seen = new Set([indexMeaning(index())]);
    const commands = ['echo n >bb; git add bb', 'git update-index --assume-unchanged a', 'git update-index --skip-worktree ccc', 'echo n >new; git add -N new', 'git update-index --chmod=-x a', 'git rm -q --cached d/e/x', 'git mv -k bb b2'];
    for (const [count, command] of commands.entries()) {
      git(command);
      seen.add(indexMeaning(index()));
      expect(seen.size, command).toBe(count + 2);
    }
    expect(seen.has(null)).toBe(false);
  });

  test('is unknown where names are longer than any path: version 4 repeats them for a byte', () => {
    const entry = (name: string): Buffer => {
      const stat = Buffer.alloc(62);
      stat.writeUInt32BE(0o100644, 24);
      return Buffer.concat([stat, Buffer.from([0]), Buffer.from(`${name}\0`)]);
    };
    const indexOf = (length: number): Buffer => {
      const head = Buffer.alloc(12);
      head.write('DIRC');
      head.writeUInt32BE(4, 4);
      head.writeUInt32BE(101, 8);
      return sealed(Buffer.concat([head, entry('a'.repeat(length)), ...Array.from({ length: 100 }, () => entry('')), Buffer.alloc(HASH)]));
    };

    expect(trackedPaths(indexOf(4096))?.map(({ length }) => length)).toEqual(new Array(101).fill(4096));
    expect([trackedPaths(indexOf(4097)), indexMeaning(indexOf(4097))]).toEqual([null, null]);
  });

  test('is unknown for a split index, and for what is none', () => {
    const { git, index } = repository();
    const whole = index();
    git('git update-index --split-index');

    expect(indexMeaning(index())).toBe(null);
    expect(indexMeaning(Buffer.alloc(0))).toBe(null);
    expect(indexMeaning(Buffer.from('DIRC'))).toBe(null);
    expect(indexMeaning(whole.subarray(0, -1))).toBe(null);
  });

  test('depends on each byte that is no stat data', () => {
    for (const version of VERSIONS) {
      const { index } = repository(version);
      const whole = index();
      const meaning = indexMeaning(whole);
      // Of the first entry: ctime, mtime, dev, ino; then mode; then uid, gid, size; then object and flags.
      const isStat = (at: number): boolean => at < 24 || (at >= 28 && at < 40);
      for (let at = 0; at < 62; at += 1) {
        const other = Buffer.from(whole);
        other[12 + at] = (other[12 + at] as number) ^ 1;
        expect(indexMeaning(sealed(other)) === meaning, `version ${version}, byte ${at}`).toBe(isStat(at));
        expect(indexMeaning(other), 'with the wrong hash').toBe(null);
      }
    }
  });

  test('no bytes break it', () => {
    const wholes = VERSIONS.map((version) => repository(version).index());
    const meanings = new Map(wholes.map((whole) => [whole, indexMeaning(whole)]));
    const edit = fc.record({ at: fc.nat(2000), value: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), cut: fc.option(fc.nat(600)) });
    fc.assert(fc.property(fc.constantFrom(...wholes), fc.array(edit, { minLength: 1, maxLength: 4 }), (whole, edits) => {
      let index = Buffer.from(whole);
      for (const { at, value, cut } of edits) {
        index[at % index.length] = value;
        if (cut !== null) index = Buffer.concat([index.subarray(0, -cut || undefined), whole.subarray(-HASH)]);
      }
      const meaning = indexMeaning(sealed(index));
      expect(meaning === null || meaning.length === 64).toBe(true);
      if (meaning === meanings.get(whole)) expect(trackedPaths(index)).toEqual(trackedPaths(whole));
      trackedPaths(index);
    }), { numRuns: 3000 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(2, 3, 4), fc.nat(3), (bytes, version, count) => {
      const index = Buffer.concat([Buffer.from('DIRC'), Buffer.from([0, 0, 0, version, 0, 0, 0, count]), bytes, Buffer.alloc(HASH)]);
      indexMeaning(sealed(index));
      trackedPaths(index);
    }), { numRuns: 3000 });
  });
});
