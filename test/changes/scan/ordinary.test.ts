/** Classes by directory are the classes path by path, for every name that no rule can be about. */
import { constants } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fromText, type Bytes } from '../../../src/bytes.js';
import { bareRepositories } from '../../../src/changes/classify/bare-repository.js';
import type { Change } from '../../../src/changes/change.js';
import { classify, type ClassifyInput } from '../../../src/changes/classify.js';
import { BLOCK, FLAG, GIT_CONFIG, HARMLESS } from '../../../src/changes/classify/control-list.js';
import { MANIFESTS } from '../../../src/changes/capture/manifest.js';
import { spokenNames } from '../../../src/changes/scan/ordinary.js';
import type { Stat } from '../../../src/kernel/kernel.js';
import { ordinaryIn } from '../../helpers/ordinary.js';

const TYPES = { file: constants.S_IFREG, dir: constants.S_IFDIR, symlink: constants.S_IFLNK, fifo: constants.S_IFIFO } as const;
const names = spokenNames(null);

function statOf(mode: number): Stat {
  return { dev: 1n, ino: 1n, mode, nlink: 1, uid: 0, gid: 0, rdev: 0n, size: 4, blocks: 8, atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n, btimeNs: 0n };
}

/** Names of the rules, wildcards filled in, and others. */
const spoken = [...[...BLOCK, ...FLAG].map(({ pattern }) => pattern), ...HARMLESS, ...GIT_CONFIG, ...MANIFESTS.keys(), 'HEAD', 'objects', 'refs', 'config']
  .flatMap((pattern) => pattern.split('/')).map((part) => part.replaceAll('*', 'x').replace(/\{(\w+)[^}]*\}/g, '$1'));
const name = fc.oneof(fc.constantFrom(...new Set(spoken)), fc.constantFrom('f1.js', 'src', 'README', 'a', 'x.tar', '.cache', 'é', '\u200b.git', 'ＭＡＫＥＦＩＬＥ', 'Dockerfile', '.GIT', '.git.', 'git~1', 'head', 'commondir'));
const path = fc.tuple(fc.constantFrom('/home/u/proj', '/home/u/proj', '/home/u', '/etc', ''), fc.array(name, { minLength: 1, maxLength: 5 })).map(([root, parts]) => fromText(`${root}/${parts.join('/')}`));
const change: fc.Arbitrary<Change> = fc.record({
  path, kind: fc.constantFrom('add', 'modify', 'delete', 'metadata', 'type'), type: fc.constantFrom('file', 'file', 'dir', 'symlink', 'fifo'),
  mode: fc.constantFrom(0o644, 0o755, 0o4755), content: fc.boolean(), target: fc.constantFrom('/etc/x', 'near', '../../../../..'),
}).map(({ mode, path, kind, type, content, target }): Change => ({
  path, kind, type, content, from: null, oldType: kind === 'type' ? 'dir' : null, opaque: false, implied: false, meta: [], at: { layer: 0, path },
  upper: kind === 'delete' ? null : statOf(TYPES[type] | mode), base: kind === 'add' ? null : statOf(TYPES[type] | 0o644), target: type === 'symlink' ? fromText(target) : null,
}) as Change);
const contents: ClassifyInput['contents'] = { read: () => Buffer.from('text'), head: () => Buffer.from('text') };
const input = fc.record({
  workspace: fc.constantFrom('/home/u/proj', '/home/u/proj', '/home/u', '/', '/home/u/proj/.github/x', '/home/u/proj/Makefile') as fc.Arbitrary<Bytes>,
  home: fc.constantFrom('/home/u', '/root') as fc.Arbitrary<Bytes>,
});

test('in any workspace', () => {
  let ordinary = 0;
  fc.assert(fc.property(input, fc.array(change, { minLength: 1, maxLength: 20 }), (where, changes) => {
    const bare = bareRepositories(changes, () => false);
    const told = changes.map((one): Change => ({ ...one, ordinaryIn: ordinaryIn(one.path, names) }));

    expect(bareRepositories(told, () => false)).toEqual(bare);
    for (const [index, one] of told.entries()) {
      ordinary += one.ordinaryIn === undefined ? 0 : 1;
      expect([one.path, classify(one, { ...where, contents, bare })]).toEqual([one.path, classify(changes[index] as Change, { ...where, contents, bare })]);
    }
  }), { numRuns: 3000 });

  expect(ordinary).toBeGreaterThan(1000);
});
