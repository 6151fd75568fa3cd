import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fromText, type Bytes } from '../../src/bytes.js';
import { withClass } from '../../src/changes/classify.js';
import type { JudgedChange } from '../../src/changes/change.js';
import { native } from '../../src/kernel/native.js';
import { diffJson, type DiffJson } from '../../src/render/json.js';
import { summarise } from '../../src/render/summary.js';
import { changesOf, layerOf, type Planted } from '../changes/layers.js';
import { b, openDir } from '../kernel/temp.js';
import { withContents } from './trees.js';

function diffOf(planted: Planted, judge: (change: JudgedChange) => JudgedChange = (change) => change): DiffJson {
  return withContents(planted, (contents) => {
    const input = { workspace: planted.layer.base, home: fromText('/nonexistent'), contents };
    const changes = changesOf(planted).map((change) => judge(withClass(change, input)));
    return diffJson({ tag: 'fix-login', digest: null, changes, summaryOf: (change) => summarise(change, contents) });
  });
}

describe('diffJson', () => {
  test('has every field of the contract, null where nothing was judged', () => {
    const planted = layerOf({ f: 'one\ntwo\n' }, { f: 'one\n' });
    for (const dir of [planted.upper, planted.base]) chmodSync(join(dir, 'f'), 0o644);

    expect(diffOf(planted)).toEqual({
      version: 1,
      tag: 'fix-login',
      digest: null,
      changes: [{
        path: join(planted.base, 'f'), kind: 'modify', from: null, type: 'file', oldType: null, target: null, class: 'normal', reason: null,
        verdict: null, rule: null, conflict: null, link: null, names: null, implied: false, opaque: false, meta: [], content: true, binary: false, added: 1, removed: 0,
        size: 8, mode: '0644', oldMode: '0644',
      }],
      counts: {
        total: 1, add: 0, modify: 1, delete: 0, type: 0, metadata: 0, rename: 0, normal: 1, later: 0, control: 0, conflicts: 0,
        commit: null, discard: null, escalate: null,
      },
    });
  });

  test('is lossless for names that are no UTF-8 (E101)', () => {
    const planted = layerOf({}, {});
    native.symlink('t\xff' as Bytes, openDir(planted.upper), 'n\xff' as Bytes);

    const [change] = diffOf(planted).changes;

    expect(change?.path).toBe(`${planted.base}/n\ufffd`);
    expect(Buffer.from(change?.pathBytes ?? '', 'base64').toString('latin1')).toBe(`${planted.base}/n\xff`);
    expect(Buffer.from(change?.targetBytes ?? '', 'base64').toString('latin1')).toBe('t\xff');
    expect(change).not.toHaveProperty('fromBytes');
  });

  test('counts kinds, classes, conflicts and verdicts', () => {
    const planted = layerOf({ Makefile: 'x\n', '.envrc': 'x\n', gone: null }, { gone: 'g\n' });

    const { counts } = diffOf(planted, (change) => ({ ...change, verdict: 'escalate', conflict: change.kind === 'delete' ? 'changed' : null }));

    expect(counts).toMatchObject({ total: 3, add: 2, delete: 1, control: 1, later: 1, normal: 1, conflicts: 1, escalate: 3, commit: 0, discard: 0 });
  });
});

describe('summarise', () => {
  test('counts lines as git does, binary has none', () => {
    const planted = layerOf(
      { add: 'a\nb\n', modify: 'a\nB\nc', binary: 'x\0y', gone: null, link: '-> x', 'd/': '', empty: '' },
      { modify: 'a\nb\nc\n', gone: '1\n2\n', binary: 'text\n' },
    );
    writeFileSync(join(planted.upper, 'all'), Buffer.from([0xff, 0x0a]));

    const found = Object.fromEntries(diffOf(planted).changes.map((one) => [one.path.slice(planted.base.length + 1), [one.binary, one.added, one.removed, one.size]]));

    expect(found).toEqual({
      add: [false, 2, 0, 4], all: [false, 1, 0, 2], binary: [true, null, null, 3], d: [null, null, null, null], empty: [false, 0, 0, 0],
      gone: [false, 0, 2, 4], link: [null, null, null, 1], modify: [false, 2, 2, 5],
    });
  });

  test('metadata alone has no lines', () => {
    const planted = layerOf({ f: 'x\n' }, { f: 'x\n' });
    chmodSync(join(planted.upper, 'f'), 0o4600);
    chmodSync(join(planted.base, 'f'), 0o640);

    expect(diffOf(planted).changes).toMatchObject([{ kind: 'metadata', meta: ['mode'], binary: null, added: null, mode: '4600', oldMode: '0640' }]);
  });
});

test('a name made of bytes keeps its place in the object', () => {
  const planted = layerOf({ 'größe': 'x' }, {});

  expect(diffOf(planted).changes[0]?.path).toBe(join(planted.base, 'größe'));
  expect(b('größe')).not.toBe('größe');
});
