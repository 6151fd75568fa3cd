import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { makeNotes, type Note } from '../../src/gate/notes.js';
import { tempDir } from '../kernel/temp.js';

const note = (what: string, why = 'no rule names it'): Note => ({ time: new Date(0), what, rule: 'net.default', why, how: 'ask' });

describe('the notes on refusals, which the agent reads', () => {
  test('a refusal is there before the client can know of it', () => {
    const dir = tempDir();
    const notes = makeNotes(dir);
    notes.add(note('example.org:443'));

    expect(linesOf(dir)).toEqual(['1970-01-01T00:00:00.000Z example.org:443 [net.default] no rule names it - ask']);
  });

  test('so are the next ones', () => {
    const dir = tempDir();
    const notes = makeNotes(dir);
    for (const host of ['a', 'b', 'c']) notes.add(note(`${host}.example:443`));

    expect(linesOf(dir).map((line) => line.split(' ')[1])).toEqual(['a.example:443', 'b.example:443', 'c.example:443']);
  });

  test('a flood is written in turns, and the newest 50 are kept', async () => {
    const dir = tempDir();
    const notes = makeNotes(dir);
    for (let n = 0; n < 1000; n += 1) notes.add(note(`h${n}:443`));
    expect(linesOf(dir).length).toBeLessThan(20);

    // What came last is written without more of it.
    await vi.waitFor(() => expect(linesOf(dir)).toHaveLength(50));
    expect(linesOf(dir).at(-1)).toContain(' h999:443 ');
  });

  test('what can’t be written ends nothing, and stands with the next one', () => {
    const dir = tempDir();
    const notes = makeNotes(dir);
    mkdirSync(`${dir}/notes.new`);
    notes.add(note('a.example:443'));
    rmSync(`${dir}/notes.new`, { recursive: true });
    notes.add(note('b.example:443'));

    expect(linesOf(dir).map((line) => line.split(' ')[1])).toEqual(['a.example:443', 'b.example:443']);
  });

  test('what an agent asked for can’t begin a line or act on a terminal', () => {
    const dir = tempDir();
    makeNotes(dir).add(note('a\nb\u001b[2J\u202e:443', 'x'.repeat(10_000)));

    expect(linesOf(dir)).toHaveLength(1);
    expect(linesOf(dir)[0]).toMatch(/^1970-01-01T00:00:00.000Z a\?b\?\[2J\?:443 \[net.default\] x{400} - ask$/);
  });
});

function linesOf(dir: string): readonly string[] {
  return readFileSync(`${dir}/notes`, 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}
