import { isWithin, normalised, type Bytes } from '../../bytes.js';
import { hostOf, isPlace, isPlainAlias, isUnnamedPlace, newPlace, type GitEntry } from './gitremote.js';

/**
 * A git configuration file as git reads it (config.c): pure, and strict in that
 * what git would refuse is refused here too.
 */
export type GitConfig =
  | { readonly kind: 'ok'; readonly entries: readonly GitEntry[] }
  | { readonly kind: 'invalid'; readonly line: number };

/** Reads `text` with one char per byte or decoded; git gives no meaning to what is not ASCII. */
export function parseGitConfig(text: string): GitConfig {
  const reader: Reader = { text: text.replace(/^(?:\ufeff|\u00ef\u00bb\u00bf)/, '').replaceAll('\r\n', '\n'), at: 0 };
  const entries: GitEntry[] = [];
  let section: string | null = null;
  for (;;) {
    skip(reader, /[ \t\n\r\f\v]*/y);
    if (skip(reader, /[#;][^\n]*/y) !== null) continue;
    if (reader.at >= reader.text.length) return { kind: 'ok', entries };
    const header = readHeader(reader);
    if (header !== null) {
      section = header;
      continue;
    }
    const entry = section === null ? null : readEntry(reader, section);
    if (entry === null) return { kind: 'invalid', line: reader.text.slice(0, reader.at).split('\n').length };
    entries.push(entry);
  }
}

interface Reader {
  readonly text: string;
  at: number;
}

/** The match at the reader's place, which it passes; null when there is none. */
function skip(reader: Reader, pattern: RegExp): RegExpExecArray | null {
  pattern.lastIndex = reader.at;
  const found = pattern.exec(reader.text);
  if (found === null || found[0] === '') return null;
  reader.at = pattern.lastIndex;
  return found;
}

function readHeader(reader: Reader): string | null {
  // Bounded, as each key repeats it: one of megabytes before a million keys is more than any memory.
  const found = skip(reader, /\[([A-Za-z0-9.-]{1,4096})(?:[ \t]+"((?:[^"\\\n]|\\[^\n]){0,4096})")?\]/y);
  if (found === null) return null;
  const section = (found[1] ?? '').toLowerCase();
  const subsection = found[2];
  return subsection === undefined ? section : `${section}.${subsection.replace(/\\(.)/gs, '$1')}`;
}

function readEntry(reader: Reader, section: string): GitEntry | null {
  const start = reader.at;
  const name = skip(reader, /([A-Za-z][A-Za-z0-9-]*)[ \t]*/y)?.[1];
  if (name === undefined) return null;
  const key = `${section}.${name.toLowerCase()}`;
  if (skip(reader, /\n/y) !== null || reader.at >= reader.text.length) return { key, value: null };
  const value = skip(reader, /=/y) === null ? null : readValue(reader);
  if (value === null) {
    reader.at = start;
    return null;
  }
  return { key, value };
}

const ESCAPES: Readonly<Record<string, string>> = { '\n': '', t: '\t', b: '\b', n: '\n', '\\': '\\', '"': '"' };

/** To the end of the line; null when git would refuse it. */
function readValue(reader: Reader): string | null {
  let value = '';
  let quoted = false;
  // Unquoted space counts only when something follows it.
  let space = '';
  for (;;) {
    const char = reader.text[reader.at] ?? '\n';
    reader.at += 1;
    if (char === '\n') return quoted ? null : value;
    if (!quoted && (char === ' ' || char === '\t' || char === '\r' || char === '\f' || char === '\v')) {
      if (value !== '') space += char;
      continue;
    }
    if (!quoted && (char === '#' || char === ';')) {
      skip(reader, /[^\n]*/y);
      continue;
    }
    value += space;
    space = '';
    if (char === '"') quoted = !quoted;
    else if (char !== '\\') value += char;
    else {
      const escaped = ESCAPES[reader.text[reader.at] ?? '\n'];
      if (escaped === undefined) return null;
      value += escaped;
      reader.at += 1;
    }
  }
}

/** Keys whose value is a program, or decides which program runs or where code comes from. */
const EXECUTING: readonly RegExp[] = [
  // Attributes choose drivers and what a diff shows; a file elsewhere would do so unseen.
  /^core\.attributesfile$/s,
  /^core\.(hookspath|sshcommand|editor|pager|askpass|gitproxy|alternaterefscommand|fsmonitor)$/s,
  /^(diff\.(external|.*\.(command|textconv))|interactive\.difffilter|sequence\.editor)$/s,
  /^(filter|protocol|hook)\..*$/s,
  /^(merge\..*\.driver|credential\.(.*\.)?helper|gpg\.(.*\.)?(program|defaultkeycommand))$/s,
  /^url\..*\.(insteadof|pushinsteadof)$/s,
  /^(include\.path|includeif\..*\.path|init\.templatedir)$/s,
  /^remote\..*\.(uploadpack|receivepack|vcs|proxy)$/s,
  /^http\.(.*\.)?(proxy|sslcainfo|sslcapath|sslverify|extraheader|cookiefile|curloptresolve)$/s,
  /^(uploadpack\.packobjectshook|gc\.recentobjectshook)$/s,
  /^(difftool|mergetool|browser|man|guitool)\..*\.(cmd|path)$/s,
  /^(lfs\.(customtransfer|extension)\..*|lfs\.standalonetransferagent|instaweb\..*|annex\..*|remote\..*\.annex-.*)$/s,
  /^(svn\.authorsprog|gitflow\.path\.hooks|delta\.pager|stgit\.(editor|pager)|gpg\.ssh\.allowedsignersfile|core\.protect(hfs|ntfs)|remote\..*\.push)$/s,
  // Its newlines are lines of the list of what a rebase runs.
  /^rebase\.instructionformat$/s,
  /^(tig\.(bind\..*|source)|gui\.(editor|historybrowser)|remote\..*\.mirror)$/s,
  /^(trailer\..*\.(cmd|command)|tar\..*\.command|imap\.tunnel|sendemail\.(.*\.)?(smtpserver|.*cmd))$/s,
];

const BOOLEAN = /^(true|yes|on|1|false|no|off|0|)$/i;
const FALSE = /^(false|no|off|0)$/i;

/** True when git would run the value or let it decide what runs. */
export function isExecuting(entry: GitEntry): boolean {
  const { key, value } = entry;
  if (key === 'core.fsmonitor') return value !== null && !FALSE.test(value);
  if (key.startsWith('alias.')) return value !== null && !isPlainAlias(value);
  if (/^submodule\..*\.update$/s.test(key)) return value?.trimStart().startsWith('!') ?? false;
  if (/^pager\..*$/s.test(key)) return value !== null && !BOOLEAN.test(value);
  if (isPlace(entry)) return hostOf(value ?? '') === null;
  if (isUnnamedPlace(entry)) return true;
  return EXECUTING.some((pattern) => pattern.test(key));
}

/** Where a configuration is, for what it says of directories. */
export interface GitPlace {
  /** the directory it is in, which is git's own */
  readonly dir: Bytes;
  readonly workspace: Bytes;
}

/** Git writes the files of a repository to its work tree: one that is not in the workspace is somebody else's. */
function leavesWorkspace({ key, value }: GitEntry, { dir, workspace }: GitPlace): boolean {
  if (key !== 'core.worktree' || value === null) return false;
  const to = normalised(value.startsWith('/') ? value : `${dir}/${value}`);
  return !isWithin(to, workspace) || /(^|\/)\.git(\/|$)/i.test(to);
}

/**
 * Why `text` in the place of `base` (null: no file) lets git run something it
 * would not run today; null when it doesn't. The executing entries must be the
 * same in the same order, as the last of two wins.
 */
export function gitConfigRisk(text: string, base: string | null, place: GitPlace): string | null {
  const parsed = parseGitConfig(text);
  if (parsed.kind === 'invalid') return `git configuration that can't be read (line ${parsed.line})`;
  const before = base === null ? null : parseGitConfig(base);
  const counts = (entry: GitEntry): boolean => isExecuting(entry) || leavesWorkspace(entry, place);
  const entries = before?.kind === 'ok' ? before.entries : [];
  const old = entries.filter(counts);
  const fresh = parsed.entries.filter(counts);
  for (let i = 0; i < Math.max(old.length, fresh.length); i++) {
    const [was, is] = [old[i], fresh[i]];
    if (was?.key !== is?.key || was?.value !== is?.value) return `git configuration: ${(is ?? was)?.key ?? ''}`;
  }
  // A new repository comes from where it comes from; one that was there goes on with the same hosts.
  const moved = base === null ? null : newPlace(parsed.entries, entries);
  return moved === null ? null : `git configuration: ${moved.key} leads to another host`;
}
