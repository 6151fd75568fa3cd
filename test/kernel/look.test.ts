import { constants, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { native } from '../../src/kernel/native.js';
import type { WalkEntry, WalkOptions } from '../../src/kernel/kernel.js';
import { countLines, textDiff } from '../../src/render/text-diff.js';
import { isSecondRun } from '../helpers/needs.js';
import { b, openDir, tempDir } from './temp.js';

type Files = Readonly<Record<string, string | Buffer>>;

function walked(upper: Files, base: Files, look: WalkOptions['look']): Map<string, WalkEntry> {
  const dir = tempDir();
  for (const [side, files] of [['up', upper], ['down', base]] as const) {
    mkdirSync(join(dir, side));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, side, name), content, 'latin1');
  }
  const options: WalkOptions = { family: 'user', compare: true, ...(look === undefined ? {} : { look }) };
  return new Map([...native.walk(openDir(join(dir, 'up')), openDir(join(dir, 'down')), options)].map((entry) => [entry.path, entry]));
}

/** The same numbers each time. */
function dice(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (state >> 8) % below;
  };
}

function spliced(lines: readonly string[], at: number, cut: number, more: readonly string[]): string[] {
  return [...lines.slice(0, at), ...more, ...lines.slice(at + cut)];
}

describe('first bytes', () => {
  const upper = {
    elf: '\x7fELF\x02', macho: '\xcf\xfa\xed\xfe', pe: 'MZ', script: '#!/bin/sh\n', text: 'hello\n', nul: 'a\0b', late: `${'x'.repeat(8000)}\0`,
    empty: '', same: '#!/bin/sh\n', changed: 'a\0', binary: 'b\0',
  };
  const base = { same: '#!/bin/sh\n', changed: 'text', binary: 'a\0\0' };
  const looks = walked(upper, base, 'head');
  const plain = { program: null, script: false, binary: false, replacesText: false };

  test.each([
    ['elf', { ...plain, program: 'ELF' }],
    ['macho', { ...plain, program: 'Mach-O' }],
    ['pe', { ...plain, program: 'PE' }],
    ['script', { ...plain, script: true }],
    ['text', plain],
    ['nul', { ...plain, binary: true }],
    ['late', plain],
    ['empty', plain],
    ['changed', { ...plain, binary: true, replacesText: true }],
    ['binary', { ...plain, binary: true }],
  ])('of %s', (name, look) => {
    expect(looks.get(name)).toMatchObject({ look, lines: null });
  });

  test('of what is the same are not read, nor unasked', () => {
    expect(looks.get('same')?.look).toBeNull();
    for (const { look } of walked(upper, base, undefined).values()) expect(look).toBeNull();
  });
});

describe('lines', () => {
  test('are none of what can\'t be read, rather than those that could', () => {
    // A file of 4,096 bytes that gives EINVAL to who reads it.
    const dir = tempDir();
    native.mknod(openDir(dir), b('speed'), constants.S_IFCHR, 0);

    const entries = [...native.walk(openDir(dir), openDir('/sys/devices/virtual/net/lo'), { family: 'user', compare: true, look: 'lines' })];

    expect(entries.find(({ path }) => path === 'speed')).toMatchObject({ whiteout: true, base: { size: 4096 }, lines: { added: null, removed: null } });
  });
  test('are as many as the diff of the renderer has', () => {
    const roll = dice(7);
    const text = (most: number, kinds: number): string => {
      const lines = Array.from({ length: roll(most) }, () => 'abcdefgh'.slice(0, 1 + roll(kinds)));
      return lines.map((line) => `${line}${roll(9) === 0 ? '\r\n' : '\n'}`).join('') + (roll(3) === 0 ? 'end' : '');
    };
    const [upper, base]: [Record<string, string>, Record<string, string>] = [{}, {}];
    for (let n = 0; n < 600; n++) {
      const before = text(n % 40, 1 + (n % 7));
      base[`f${n}`] = before;
      const lines = before.split('\n');
      const edited = spliced(lines, roll(lines.length), roll(3), text(4, 3).split('\n')).join('\n');
      upper[`f${n}`] = n % 3 === 0 ? text(40, 1 + (n % 7)) : edited;
    }

    const found = walked(upper, base, 'lines');

    for (const [name, before] of Object.entries(base)) {
      const after = upper[name] ?? '';
      if (before === after) continue;
      expect([before, after, found.get(name)?.lines]).toEqual([before, after, countLines(textDiff(before, after))]);
    }
  });

  test('of too many edits are all between the common ends', () => {
    const lines = (word: string): string => Array.from({ length: 1600 }, (_, n) => `${word} ${n}\nsame ${n % 7}\n`).join('');
    const [before, after] = [`head\n${lines('a')}tail\n`, `head\n${lines('b')}tail\n`];

    const found = walked({ f: after }, { f: before }, 'lines');

    expect(found.get('f')?.lines).toEqual(countLines(textDiff(before, after)));
  });

  test.skipIf(isSecondRun)('of more edits than are searched for are those between the lines that stay', () => {
    const roll = dice(11);
    const [upper, base]: [Record<string, string>, Record<string, string>] = [{}, {}];
    for (let n = 0; n < 12; n++) {
      const lines = Array.from({ length: 2500 + roll(2500) }, (_, at) => (roll(5) === 0 ? `same ${roll(50)}` : `line ${at}`));
      const step = 2 + roll(6);
      const edited = lines.flatMap((line, at) => (at % step > 0 ? [line] : Array.from({ length: roll(4) }, () => `new ${roll(900)}`)));
      // Something moves, and something is all new: a piece that costs more than is left.
      const moved = edited.splice(roll(edited.length), roll(400));
      edited.splice(roll(edited.length), 0, ...moved, ...Array.from({ length: n % 4 === 0 ? 2000 : 0 }, (_, at) => `fresh ${at % 1500}`));
      base[`f${n}`] = `${lines.join('\n')}${n % 2 ? '\n' : ''}`;
      upper[`f${n}`] = `${edited.join('\n')}${n % 3 ? '\n' : ''}`;
    }

    const found = walked(upper, base, 'lines');

    for (const [name, before] of Object.entries(base)) {
      const after = upper[name] ?? '';
      expect([name, found.get(name)?.lines]).toEqual([name, countLines(textDiff(before, after))]);
      expect(found.get(name)?.lines?.added).toBeLessThan(after.split('\n').length);
    }
  });

  test('of binary content are none', () => {
    const found = walked({ f: 'a\0b', g: 'text\n', h: 'new\n' }, { f: 'text\n', g: 'a\0b' }, 'lines');

    expect(found.get('f')?.lines).toEqual({ added: null, removed: null });
    expect(found.get('g')?.lines).toEqual({ added: null, removed: null });
    expect(found.get('h')?.lines).toEqual({ added: 1, removed: 0 });
  });
});
