/** Sizes and durations with units; a bare number is refused where it could mean two things. */
export type Parsed = { readonly ok: true; readonly value: number } | { readonly ok: false; readonly why: string; readonly hint: string };

const SIZES: Readonly<Record<string, number>> = {
  B: 1, kB: 1e3, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, TiB: 1024 ** 4,
};
const DURATIONS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Bytes: `500MB`, `8GiB`. */
export function parseSize(text: string | number): Parsed {
  return parseUnit(text, SIZES, 'a size', '500MB, 8GB or 8GiB');
}

/** Below it the kernel ends the first program, and in less than a page of memory without a word. */
const LEAST_MEMORY = SIZES['MB'] ?? 1e6;

/** Bytes of memory that a program can begin in. */
export function parseMemory(text: string | number): Parsed {
  const size = parseSize(text);
  if (!size.ok || size.value >= LEAST_MEMORY) return size;
  return { ok: false, why: `\`${text}\` is less than any program needs`, hint: `Write ${sizeText(LEAST_MEMORY)} or more.` };
}

/** Processes: one of them is the sandbox's own, which reaps the others. */
export function parseProcesses(value: string | number): Parsed {
  const count = parseCount(value);
  if (!count.ok || count.value >= LEAST_PROCESSES) return count;
  return { ok: false, why: `\`${value}\` leaves no process for the agent`, hint: `Write ${LEAST_PROCESSES} or more.` };
}

const LEAST_PROCESSES = 2;

/** Seconds: `90s`, `30m`, `2h`, `1d`. */
export function parseDuration(text: string | number): Parsed {
  return parseUnit(text, DURATIONS, 'a duration', '90s, 30m, 2h or 1d');
}

/** Seconds that a timer of ours can wait: its milliseconds have 31 bits, and more would end at once. */
export function parseWait(text: string | number): Parsed {
  const wait = parseDuration(text);
  if (!wait.ok || wait.value <= LONGEST_WAIT) return wait;
  return { ok: false, why: `\`${text}\` is longer than a connection is held`, hint: 'Write 24d or less.' };
}

const LONGEST_WAIT = 24 * 86_400;

/** A whole number of things. */
export function parseCount(value: string | number): Parsed {
  const number = typeof value === 'number' ? value : /^\d+$/.test(value) ? Number(value) : NaN;
  if (Number.isSafeInteger(number) && number >= 0) return { ok: true, value: number };
  return { ok: false, why: `\`${value}\` is not a whole number`, hint: 'Write a plain number such as 50.' };
}

function parseUnit(text: string | number, units: Readonly<Record<string, number>>, what: string, examples: string): Parsed {
  const parts = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)?$/.exec(String(text));
  const unit = parts?.[2];
  const hint = `Write ${what} such as ${examples}.`;
  if (parts === null) return { ok: false, why: `\`${text}\` is not ${what}`, hint };
  if (unit === undefined) return { ok: false, why: `\`${text}\` has no unit`, hint };
  const factor = units[unit];
  if (factor === undefined) return { ok: false, why: `\`${unit}\` is not a unit of ${what.slice(2)}`, hint };
  const value = Math.round(Number(parts[1]) * factor);
  if (value < 1) return { ok: false, why: `\`${text}\` is less than 1${what === 'a size' ? 'B' : 's'}`, hint };
  if (!Number.isSafeInteger(value)) return { ok: false, why: `\`${text}\` is out of range`, hint };
  return { ok: true, value };
}

/** A size for people, in the largest decimal unit that keeps it short. */
export function sizeText(bytes: number): string {
  for (const unit of ['TB', 'GB', 'MB', 'kB'] as const) {
    const factor = SIZES[unit] ?? 1;
    if (bytes >= factor) return `${Number((bytes / factor).toFixed(1))}${unit}`;
  }
  return `${bytes}B`;
}
