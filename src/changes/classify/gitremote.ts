/** One line of a git configuration (git-config(1)). */
export interface GitEntry {
  /** `section.subsection.name`, section and name in lower case */
  readonly key: string;
  /** null for a name without `=`, which means true */
  readonly value: string | null;
}

/** Keys that say where code comes from and goes to. */
const PLACES = /^(remote\..*\.(url|pushurl|lfsurl|lfspushurl)|submodule\..*\.url|lfs\.(url|pushurl)|svn-remote\..*\.(url|pushurl)|fetch\.bundleuri|bundle\..*\.uri)$/s;

/** True for a key whose value is a place, and only that. */
export function isPlace({ key }: GitEntry): boolean {
  return PLACES.test(key);
}

/**
 * The host that a URL leads to, in lower case; '' for a path of this machine.
 * A transport of its own (`ext::`) is a program's name and no host: null.
 */
export function hostOf(url: string): string | null {
  if (/^[^/:]+::/.test(url)) return null;
  const full = /^[a-z0-9+.-]+:\/\/(?:[^/@]*@)?(\[[^\]]*\]|[^/:]*)/i.exec(url);
  if (full !== null) return /^file:/i.test(url) ? '' : (full[1] ?? '').toLowerCase();
  // git takes `host:path` for ssh unless a slash comes first.
  const short = /^(?:[^/:@]*@)?(\[[^\]]*\]|[^/:]+):/.exec(url);
  return short === null ? '' : (short[1] ?? '').toLowerCase();
}

/** A place that no place of before shares its host with; null when there is none, or nothing was there before. */
export function newPlace(fresh: readonly GitEntry[], before: readonly GitEntry[]): GitEntry | null {
  const known = new Set(before.filter(isPlace).map(({ value }) => hostOf(value ?? '')));
  return fresh.find((entry) => {
    const host = isPlace(entry) ? hostOf(entry.value ?? '') : '';
    return host !== null && host !== '' && !known.has(host);
  }) ?? null;
}

/** `branch.x.remote` and the like may hold a place instead of a remote's name. */
export function isUnnamedPlace({ key, value }: GitEntry): boolean {
  return /^(branch\..*\.(remote|pushremote)|remote\.pushdefault)$/s.test(key) && /[:/]/.test(value ?? '');
}

/** What an alias may begin with and still run no program but git and write nothing but the repository, if no option of it says so. */
const PLAIN = new Set(
  'add blame branch checkout cherry-pick commit describe diff log ls-files merge-base reflog reset restore rev-parse shortlog show stash status switch tag'.split(' '),
);
const PROGRAM_OPTION = /exec|pack|pager|textconv|ext-diff|^-[a-z]*[Ox]/;
/** Writes a file, wherever; git takes the beginning of an option for it. */
const OUTPUT_OPTION = /^--o(?:u(?:t(?:p(?:u(?:t)?)?)?)?)?(?:=|$)/;

/** An alias takes the place of one that the user has elsewhere, so what it may run counts, not its name. */
export function isPlainAlias(value: string): boolean {
  const [verb = '', ...words] = value.trim().split(/\s+/);
  return PLAIN.has(verb) && !words.map((word) => word.replaceAll(/["'\\]/g, '')).some((word) => PROGRAM_OPTION.test(word) || OUTPUT_OPTION.test(word));
}
