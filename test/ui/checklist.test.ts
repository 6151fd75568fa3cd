import { describe, expect, test } from 'vitest';
import { Checklist, type CheckRow } from '../../src/ui/checklist.js';

const rows = (name: string, count: number, checked: boolean): CheckRow[] =>
  Array.from({ length: count }, (_, index) => ({ label: () => `${name}${index}`, checked }));

function small(): Checklist {
  return new Checklist([
    { title: 'hooks', rows: rows('hook', 2, false) },
    { title: 'none of these', rows: [] },
    { title: 'files', rows: rows('file', 3, true) },
  ]);
}

/** As a user would see it: `>` is the row that the keys act on. */
function shown(list: Checklist, reach = 10): string[] {
  return list.around(reach).map((line) => (line.kind === 'heading' ? `${line.title} ${line.chosen}/${line.total}` : `${line.active ? '>' : ' '}${line.checked ? 'x' : '-'} ${line.label}`));
}

describe('Checklist', () => {
  test('rows are below their headings, which count what is chosen', () => {
    const list = small();
    expect(shown(list)).toEqual(['hooks 0/2', '>- hook0', ' - hook1', 'files 3/3', ' x file0', ' x file1', ' x file2']);
    expect([list.chosen, list.total]).toEqual([3, 5]);
  });

  test('a key changes the row that it is on, and the counts with it', () => {
    const list = small();
    list.toggle();
    list.move(3);
    list.toggle();
    expect(shown(list)).toEqual(['hooks 1/2', ' x hook0', ' - hook1', 'files 2/3', ' x file0', '>- file1', ' x file2']);
    list.toggle();
    expect(shown(list)).toContain('files 3/3');
    expect(list.chosen).toBe(4);
  });

  test('stops at both ends', () => {
    const list = small();
    list.move(-1);
    expect(list.active).toBe(0);
    list.move(100);
    expect(shown(list, 1)).toEqual([' x file1', '>x file2']);
  });

  test('all are chosen, then none; the other way round', () => {
    const list = small();
    list.invert();
    expect(shown(list)).toEqual(['hooks 2/2', '>x hook0', ' x hook1', 'files 0/3', ' - file0', ' - file1', ' - file2']);
    list.toggleAll();
    expect([list.chosen, list.isChecked(4)]).toEqual([5, true]);
    list.toggleAll();
    expect([list.chosen, list.isChecked(4)]).toEqual([0, false]);
  });

  test('of very many rows only those around the active one are made', () => {
    let made = 0;
    const many = Array.from({ length: 20_000 }, (_, index) => ({ label: () => `row${(made += 1, index)}`, checked: true }));
    const list = new Checklist([{ title: 'files', rows: many }]);
    list.move(9_999);
    for (let key = 0; key < 10; key += 1) {
      list.toggle();
      list.move(1);
      list.around(20);
    }
    expect(made).toBe(10 * 41);
    expect(shown(list, 1)).toEqual([' - row10008', '>x row10009', ' x row10010']);
    expect(list.chosen).toBe(19_990);
  });
});
