/** A longer cell sets no other one apart: a path of thousands of bytes would give each line as many blanks. native/listing.cc has it too. */
const MOST_WIDE = 200;

/** Left-aligned columns, two blanks apart, the last one as long as it is. Cells are escaped by the caller. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      if (cell.length <= MOST_WIDE) widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  let text = '';
  for (const row of rows) {
    let line = '';
    row.forEach((cell, column) => {
      line += column === row.length - 1 ? cell : `${cell.padEnd(widths[column] ?? 0)}  `;
    });
    text += `${line.trimEnd()}\n`;
  }
  return text;
}

/** How long ago, in one unit: `5s`, `3min`, `2h`, `4d`. */
export function age(from: string, now: Date): string {
  const seconds = Math.max(0, Math.round((now.getTime() - Date.parse(from)) / 1000));
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Bytes in a unit that leaves at most four digits: `812 B`, `1.4 MB`. */
export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

/** `1 file`, `2 files`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
