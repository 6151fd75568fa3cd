import { constants } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../../src/bytes.js';
import { CLEAN, COPIED_UP } from '../../../src/changes/apply/cleaning.js';
import { encodeStep } from '../../../src/changes/journal/step.js';
import { StepTable, stepsWhere, unusual } from '../../../src/changes/journal/step-table.js';
import { OriginMark } from '../../../src/changes/scan/origin-mark.js';
import type { Stat } from '../../../src/kernel/kernel.js';
import { oldPlace } from '../../../src/changes/journal/place-paths.js';
import type { Cleaning, Ident, Step } from '../../../src/changes/plan/step.js';

const ident = (ino: bigint, overrides: Partial<Ident> = {}): Ident => ({ ino, fmt: constants.S_IFREG, size: 2 ** 40 + 7, mtimeNs: 1_700_000_000_123_456_789n, ...overrides });
const at = (root: number, path: string) => ({ root, path: path as Bytes });

function step(overrides: Partial<Step> = {}): Step {
  const host = at(3, 'dir/file');
  return {
    ...{ act: 'swap', kind: 'modify', type: 'file', host, from: at(4, 'dir/file'), hold: at(4, 'dir/file'), keep: oldPlace(host) },
    ...{ fresh: ident(2n ** 63n + 1n), old: ident(2n), tree: false, inside: 0, clean: CLEAN, covers: [], meta: null, spent: null, locked: null, link: null, twin: null, group: 0, stripped: [] },
    ...overrides,
  };
}

const origin: Cleaning = { whiteouts: [], modes: [], marks: [{ path: '' as Bytes, name: 'trusted.overlay.origin' as Bytes, value: Buffer.from([0, 0xfb, 255, 10]) }] };

const ALL: readonly (readonly [string, Step])[] = [
  ['a swap', step()],
  ['a new file', step({ act: 'place', kind: 'add', hold: null, keep: null, old: null })],
  ['a new symlink at the top', step({ act: 'place', kind: 'add', type: 'symlink', host: at(0, 'l'), from: at(1, 'l'), hold: null, keep: null, old: null, clean: null })],
  ['a deletion', step({ act: 'take', kind: 'delete', from: null, fresh: null, clean: null })],
  ['a copied-up file', step({ clean: COPIED_UP })],
  ['a copied-up file of root mode', step({ clean: origin })],
  ['one of a group', step({ group: 70_000 })],
  ['times before 1970', step({ old: ident(3n, { mtimeNs: -5n, size: 0 }) })],
  ['a staged copy', step({ from: at(5, 'new/12'), hold: at(5, 'new/12'), keep: at(5, 'new/12') })],
  ['what is kept elsewhere', step({ act: 'take', from: null, fresh: null, hold: at(5, 'taken/3'), keep: at(5, 'taken/3') })],
  ['what an undo puts back', step({ from: at(4, 'old/1/dir/file'), hold: at(4, 'old/1/dir/file'), clean: null })],
  ['what an undo takes away', step({ act: 'take', kind: 'delete', from: null, fresh: null, hold: at(5, 'taken/123456'), keep: at(5, 'taken/123456'), clean: null })],
  ['two that are taken', step({ hold: at(5, 'taken/4'), keep: at(5, 'taken/5') })],
  ['a name that only looks taken', step({ hold: null, keep: at(5, 'taken/07') })],
  ['a name of the vault of another layer', step({ keep: at(5, 'old/11/dir/file') })],
  ['a cleaning that a journal told', step({ clean: { whiteouts: [], modes: [], marks: [{ path: '' as Bytes, name: 'user.overlay.origin' as Bytes, value: Buffer.alloc(0) }] } })],
  ['a directory', step({ type: 'dir', tree: true, inside: 3 })],
  ['another mark', step({ clean: { ...origin, marks: [{ path: '' as Bytes, name: 'security.capability' as Bytes, value: Buffer.from('x') }] } })],
  ['a mode that is changed', step({ clean: { ...CLEAN, modes: [{ path: '' as Bytes, from: 0o4755, to: 0o755 }] }, stripped: ['setuid'] })],
  ['a copied-up file with a mode that is changed', step({ clean: { ...COPIED_UP, modes: [{ path: '' as Bytes, from: 0o666, to: 0o644 }] } })],
  ['one of root mode with such a mode', step({ clean: { ...origin, modes: [{ path: '' as Bytes, from: 0o666, to: 0o644 }] } })],
  ['a copied-up file whose mark has a value', step({ clean: { ...COPIED_UP, marks: [{ path: '' as Bytes, name: 'user.overlay.origin' as Bytes, value: Buffer.from('x') }] } })],
  ['a mark of what is below', step({ clean: { ...origin, marks: origin.marks.map((mark) => ({ ...mark, path: 'x' as Bytes })) } })],
  ['a spent entry', step({ spent: { at: at(4, 'dir/file'), keep: null, ino: 9n } })],
  ['modes that are lent', step({ locked: { fresh: 0o555, old: null } })],
  ['what it covers', step({ act: 'take', kind: 'delete', type: 'dir', covers: [{ path: 'x' as Bytes, ident: ident(8n) }] })],
  ['a link to a file of the host', step({ act: 'place', kind: 'add', link: at(3, 'other') })],
  ['an undone link', step({ act: 'take', twin: at(3, 'other') })],
  ['metadata', step({ act: 'meta', kind: 'metadata', meta: { old: { mode: 1, uid: 2, gid: 3, xattrs: [] }, fresh: { mode: 4, uid: 5, gid: 6, xattrs: [] } } })],
];

function tableOf(steps: readonly Step[]): StepTable {
  // It grows, as a journal doesn't say how many there are.
  const table = new StepTable(2);
  for (const one of steps) table.push(one);
  return table;
}

describe('a table of steps', () => {
  const table = tableOf(ALL.map(([, one]) => one));

  test.each(ALL.map(([name, one], index) => [name, one, index] as const))('gives %s back as it was', (_name, one, index) => {
    expect(encodeStep(table.at(index) as Step)).toBe(encodeStep(one));
    expect(table.at(index)?.fresh).toEqual(one.fresh);
  });
  test('goes through them in order, and ends', () => {
    expect([...table].map(encodeStep)).toEqual(ALL.map(([, one]) => encodeStep(one)));
    expect(table.length).toBe(ALL.length);
    expect(table.at(ALL.length)).toBeUndefined();
  });
  test('the journal says of each what it would say of the step itself', () => {
    expect([...table.texts()]).toEqual(ALL.map(([, one]) => encodeStep(one)));
    const top = step({ host: at(3, ''), from: at(4, ''), hold: at(4, ''), keep: at(5, 'old/1') });
    expect([...tableOf([top]).texts()]).toEqual([encodeStep(top)]);
  });
  test('a move is the step that it comes to', () => {
    const stat = { ino: 2n ** 63n + 1n, size: 2 ** 40 + 7, mtimeNs: 1_700_000_000_123_456_789n, mode: constants.S_IFREG | 0o640 } as Stat;
    const old = { ...stat, ino: 2n };
    const host = at(3, 'dir/file');
    const moves = new StepTable(1);
    moves.pushMove({ act: 'swap', kind: 'modify', type: 'file', host, group: 0, clean: CLEAN, fresh: stat, old });
    moves.pushMove({ act: 'swap', kind: 'modify', type: 'file', host, group: 0, clean: new OriginMark('\0\xfb\xff\n'), fresh: stat, old });
    moves.pushMove({ act: 'place', kind: 'add', type: 'file', host, group: 70_000, clean: COPIED_UP, fresh: stat, old: null });
    moves.pushMove({ act: 'take', kind: 'delete', type: 'symlink', host, group: 0, clean: null, fresh: null, old });
    const steps = [
      step(),
      step({ clean: origin }),
      step({ act: 'place', kind: 'add', hold: null, keep: null, old: null, clean: COPIED_UP, group: 70_000 }),
      step({ act: 'take', kind: 'delete', type: 'symlink', from: null, fresh: null, clean: null }),
    ];
    expect([...moves].map(encodeStep)).toEqual(steps.map(encodeStep));
    expect([...moves.texts()]).toEqual(steps.map(encodeStep));
  });
  test('tells each directory once for each way into it, and all that is unusual', () => {
    const moved = (path: string, rest: Partial<Step> = {}) => step({ host: at(3, path), from: at(4, path), hold: at(4, path), keep: oldPlace(at(3, path)), ...rest });
    const gone = (path: string) => moved(path, { act: 'take', kind: 'delete', from: null, fresh: null, clean: null });
    const dir = (path: string) => moved(path, { type: 'dir', tree: true, inside: 1 });
    const steps = [moved('a'), moved('b'), moved('d/a'), gone('d/b'), moved('d/c'), gone('d/d'), dir('d/e'), moved('d/e2'), moved('d/e/x'), moved('dd'), dir('z'), dir('y')];
    const told = tableOf(steps);
    expect([...told.perDirectory()].map(({ host }) => host.path)).toEqual(['a', 'd/a', 'd/b', 'd/e', 'd/e/x', 'dd', 'z', 'y']);
    expect([...unusual(told)].map(([index, { host }]) => [index, host.path])).toEqual([[6, 'd/e'], [10, 'z'], [11, 'y']]);
    expect([...unusual(steps)].length).toBe(steps.length);
  });
  test('knows what its steps have in a layer', () => {
    const kept = oldPlace(at(3, 'k')).path;
    const own = tableOf([step(), step({ host: at(3, 'k'), from: at(4, kept), hold: at(4, kept), keep: null }), step({ host: at(3, 'n'), from: at(5, 'new/1'), hold: null, keep: null }), step({ act: 'drop', spent: { at: at(4, 's'), keep: null, ino: 1n }, from: null, hold: null, keep: null }), step({ host: at(0, 'o'), from: at(1, 'o'), hold: null, keep: null })]);
    expect(own.namesInLayer(3)).toEqual(new Set(['dir/file', kept, 's']));
    expect(own.namesInLayer(0)).toEqual(new Set(['o']));
    expect(own.namesInLayer(6)).toBeNull();
  });
  test('without some is a table too', () => {
    const without = stepsWhere(table, ({ group }) => group === 0);
    expect(without.length).toBe(ALL.length - 1);
    expect([...without].map(encodeStep)).toEqual(ALL.filter(([, { group }]) => group === 0).map(([, one]) => encodeStep(one)));
  });
  test('the steps of an undo, too, take little memory: there may be a million', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const held = (): number => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    const COUNT = 50_000;
    const before = held();
    const many = new StepTable();
    for (let n = 0; n < COUNT; n += 1) {
      const host = at(0, `d/${n}`);
      const kept = { root: 1, path: oldPlace(host).path };
      const taken = at(2, `taken/${n}`);
      if (n % 2 === 0) many.push(step({ host, from: kept, hold: kept, keep: oldPlace(host), clean: null, fresh: ident(BigInt(n)) }));
      else many.push(step({ host, act: 'take', kind: 'delete', from: null, hold: taken, keep: taken, clean: null, fresh: null }));
    }
    expect((held() - before) / COUNT).toBeLessThan(300);
    expect(many.at(COUNT - 1)?.hold?.path).toBe(`taken/${COUNT - 1}`);
  });
});
