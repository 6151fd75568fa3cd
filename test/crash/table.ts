/** The injections of a run, counted: kinds × count × outcome. */
export interface Row {
  readonly filesystem: string;
  readonly scene: string;
  readonly fault: string;
  readonly what: string;
  readonly runs: number;
  readonly old: number;
  readonly fresh: number;
  readonly mixed: number;
  readonly bad: readonly string[];
}

const HEAD = ['filesystem', 'struck', 'fault', 'runs', 'old', 'new', 'by path', 'wrong'] as const;

export function tableOf(rows: readonly Row[]): string {
  const sums = new Map<string, Row>();
  for (const row of rows) {
    const key = `${row.filesystem} ${row.what} ${row.fault}`;
    const sum = sums.get(key);
    sums.set(key, sum === undefined ? row : added(sum, row));
  }
  const lines = [...sums.values()].map((row) => [
    ...[row.filesystem, row.what, row.fault],
    ...[row.runs, row.old, row.fresh, row.mixed, row.bad.length].map(String),
  ]);
  const total = rows.reduce((sum, row) => sum + row.runs, 0);
  return [HEAD, HEAD.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n') + `\n\n${total} injections`;
}

function added(a: Row, b: Row): Row {
  return { ...a, runs: a.runs + b.runs, old: a.old + b.old, fresh: a.fresh + b.fresh, mixed: a.mixed + b.mixed, bad: [...a.bad, ...b.bad] };
}
