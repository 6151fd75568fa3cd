/** Rows below one heading. */
export interface CheckGroup {
  readonly title: string;
  readonly rows: readonly CheckRow[];
}

/** One row of a list to choose from. */
export interface CheckRow {
  /** made when the row is shown: there may be very many */
  readonly label: () => string;
  readonly checked: boolean;
}

/** What is shown of a checklist. */
export type CheckLine =
  | { readonly kind: 'heading'; readonly title: string; readonly chosen: number; readonly total: number }
  | { readonly kind: 'row'; readonly label: string; readonly checked: boolean; readonly active: boolean };

interface Group {
  readonly title: string;
  /** number of its first row */
  readonly first: number;
  readonly total: number;
  chosen: number;
}

/** Rows with checkboxes, one of which the keys act on. A key goes through all of them only where it changes all. */
export class Checklist {
  readonly total: number;
  /** number of the row that the keys act on */
  active = 0;
  private readonly rows: readonly CheckRow[];
  private readonly groups: readonly Group[];
  private readonly checked: Uint8Array;

  constructor(groups: readonly CheckGroup[]) {
    this.rows = groups.flatMap(({ rows }) => rows);
    this.total = this.rows.length;
    this.checked = Uint8Array.from(this.rows, ({ checked }) => Number(checked));
    let first = 0;
    this.groups = groups.map(({ title, rows }) => {
      const group = { title, first, total: rows.length, chosen: rows.filter(({ checked }) => checked).length };
      first += rows.length;
      return group;
    });
  }

  get chosen(): number {
    return this.groups.reduce((sum, { chosen }) => sum + chosen, 0);
  }

  /** Stops at both ends. */
  move(by: number): void {
    this.active = Math.max(0, Math.min(this.total - 1, this.active + by));
  }

  toggle(): void {
    const now = this.isChecked(this.active);
    this.checked[this.active] = now ? 0 : 1;
    const group = this.groups.findLast(({ first, total }) => total > 0 && first <= this.active);
    if (group !== undefined) group.chosen += now ? -1 : 1;
  }

  /** All are chosen; where they were, none. */
  toggleAll(): void {
    const all = this.chosen < this.total;
    this.checked.fill(all ? 1 : 0);
    for (const group of this.groups) group.chosen = all ? group.total : 0;
  }

  invert(): void {
    this.checked.forEach((is, index) => (this.checked[index] = 1 - is));
    for (const group of this.groups) group.chosen = group.total - group.chosen;
  }

  isChecked(index: number): boolean {
    return this.checked[index] === 1;
  }

  /** The active row and so many rows before and after it, each group's first row under its heading. */
  around(reach: number): readonly CheckLine[] {
    const lines: CheckLine[] = [];
    const end = Math.min(this.total, this.active + reach + 1);
    for (let index = Math.max(0, this.active - reach); index < end; index += 1) {
      const heading = this.groups.find(({ first, total }) => first === index && total > 0);
      if (heading !== undefined) lines.push({ kind: 'heading', title: heading.title, chosen: heading.chosen, total: heading.total });
      lines.push({ kind: 'row', label: this.rows[index]?.label() ?? '', checked: this.isChecked(index), active: index === this.active });
    }
    return lines;
  }
}
