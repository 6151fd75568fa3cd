import type { AuditEvent, AuditFields } from './event.js';

/**
 * The one place where secrets are cut out of what is recorded. It cuts
 * rather too much: a log is copied to places that a secret must not reach.
 */

/** Longer texts are cut: a record is evidence, not a copy. */
const MAX_TEXT = 2048;
const MAX_ITEMS = 64;
/** Characters of a list: as control characters they take six times that, and a record must not be too long to be written. */
const MAX_LIST = 12_288;

/** name, pattern; a first group is kept in front of the mark */
const TOKENS: readonly (readonly [string, RegExp])[] = [
  ['private-key', /-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY(?: BLOCK)?-----|$)/g],
  ['jwt', /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g],
  ['token', /\b(?:gh[pousr]_|github_pat_|gl(?:pat|rt|dt|ptt|cbt|soat)-|npm_|pypi-|xox[abeoprs]-|xapp-|sk-|[rs]k_(?:live|test)_|whsec_|AIza|ya29\.|GOCSPX-|hf_|gsk_|xai-|pplx-|dop_v1_|shp(?:at|ss|ca|pa)_|SG\.|hv[bs]\.|tskey-|lin_api_|sbp_|figd_|sntrys_|ATATT3|AGE-SECRET-KEY-1)[A-Za-z0-9_.-]{8,}/g],
  ['webhook', /(https:\/\/(?:hooks\.slack\.com\/(?:services|workflows|triggers)|(?:\w+\.)?discord(?:app)?\.com\/api\/webhooks)\/)[^\s'"]+/gi],
  ['aws-key', /\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g],
  ['authorization', /\b((?:Authorization|Proxy-Authorization|X-Api-Key|Api-Key|Private-Token|Cookie|Set-Cookie)\s*[:=]\s*(?:(?:Bearer|Basic|Token|Digest|ApiKey|Key|Bot|OAuth|Negotiate|NTLM|SSWS|GenieKey)\s+)?)[^\s'"]+/gi],
  ['bearer', /\b(Bearer\s+)[A-Za-z0-9._~+/=-]{8,}/gi],
  // Up to the last `@` before a path: a password may have one.
  ['userinfo', /\b([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/?#'"]+@/gi],
  // Only from where a name begins: from each `-` of it the time would grow with its third power, and an agent may make one.
  ['value', /((?<![\w.-])[\w.-]*(?:passw(?:or)?d|passphrase|passcode|secret|token|(?:api|access|account|private)[_-]?key|credential|session[_-]?id|signature|sig)[\w-]*\\*["']?\s*[=:]\s*\\*)(?:"[^"]+|'[^']+|[^\s&"',;}]+)/gi],
  // What a variable's name ends with, and a query's short words.
  ['value', /((?<![\w.-])(?:[\w.-]*[_-](?:key|pass|pwd|auth|pin|otp|dsn|connection_string|webhook_url)|pass|pwd)\\*["']?\s*[=:]\s*\\*)(?:"[^"]+|'[^']+|[^\s&"',;}]+)/gi],
  ['value', /([?&](?:key|auth|code|pass|pwd|sid)=)[^\s&"'#]+/gi],
  ['value', /((?:^|\s)(?:-b|--cookie)(?:\s+|=)["']?\w[\w.-]*=)[^\s"']+/g],
  // As in `sh -c "curl -u name:password"`: a command line in one piece.
  ['argument', /((?:^|\s)--?[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|access-?key)[\w-]*\s+["']?)[^\s"'-][^\s"']*/gi],
  ['argument', /((?:^|\s)(?:-[uU](?:\s+|=)?|--(?:proxy-)?user(?:\s+|=))["']?)[^\s"':]+:[^\s"']+/g],
  ['argument', /((?:^|\s)--?(?:\w+-)*pass(?:in|out)?(?:\s+|=)["']?)[^\s"'-][^\s"']*/gi],
  ['argument', /(\b(?:mysql\w*|mariadb[\w-]*|sshpass|redis-cli)\s(?:[^|;&\n]*?\s)??-[pa]["']?)[^\s"']+/g],
  ['argument', /(\b(?:sshpass|redis-cli)\s(?:[^|;&\n]*?\s)??-[pa]\s+["']?)[^\s"']+/g],
];

/** Programs with a short option for a password; its word may follow at once, or (`apart`) be the next. */
const SHORT_OPTIONS: readonly { readonly program: RegExp; readonly option: string; readonly apart: boolean }[] = [
  { program: /(?:^|\/)(?:mysql\w*|mariadb[\w-]*)$/, option: '-p', apart: false },
  { program: /(?:^|\/)sshpass$/, option: '-p', apart: true },
  { program: /(?:^|\/)redis-cli$/, option: '-a', apart: true },
  { program: /(?:^|\/)curl$/, option: '-b', apart: true },
  { program: /(?:^|\/)zip$/, option: '-P', apart: true },
  { program: /(?:^|\/)7z[a-z]*$/, option: '-p', apart: false },
  { program: /(?:^|\/)ssh-keygen$/, option: '-N', apart: true },
  { program: /(?:^|\/)ldap[a-z]+$/, option: '-w', apart: true },
];

/** Options whose next argument is a secret. */
const SECRET_OPTION = /^--?(?:[\w-]*(?:passw(?:or)?d|passphrase|secret|token|api-?key|access-?key|bearer|cookie)[\w-]*|(?:\w+-)*pass(?:in|out)?|user|proxy-user|u|U)$/i;

/** Each pattern above needs one of these, so a text without any is whole: most are. A test holds it against them. */
const SUSPECT = /[=:]|pass|mysql|mariadb|redis-cli|zip|7z|ldap|cookie|secret|token|key|-----BEGIN|bearer|eyJ|AKIA|ASIA|AIza|gh[pousr]_|github_pat_|gl(?:pat|rt|dt|ptt|cbt|soat)-|npm_|pypi-|xox|xapp-|sk-|[rs]k_(?:live|test)_|whsec_|ya29|GOCSPX-|hf_|gsk_|xai-|pplx-|dop_v1|shp(?:at|ss|ca|pa)_|SG\.|hv[bs]\.|lin_api_|sbp_|figd_|sntrys_|ATATT3/i;

/** A value without its secrets, and how many were cut out. */
export interface Redacted<T> {
  readonly value: T;
  readonly count: number;
}

/** The text without secrets of known shapes, cut at `MAX_TEXT` UTF-16 units, and how many were cut out. Nothing is cut twice. */
export function redactText(text: string): Redacted<string> {
  let count = 0;
  let value = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…(+${text.length - MAX_TEXT})` : text;
  if (!SUSPECT.test(value)) return { value, count };
  for (const [name, pattern] of TOKENS) {
    value = value.replace(pattern, (whole: string, kept: unknown) => {
      if (whole.includes('[redacted:')) return whole;
      count += 1;
      const at = name === 'userinfo' ? '@' : '';
      const front = typeof kept === 'string' ? kept : '';
      const quote = /^["']/.exec(whole.slice(front.length))?.[0] ?? '';
      return `${front}${quote}[redacted:${name}]${at}`;
    });
  }
  return { value, count };
}

/** Arguments one by one, and what follows an option such as `--token`. */
export function redactArgv(argv: readonly string[]): Redacted<string[]> {
  let count = 0;
  const shown = argv.slice(0, shownOf(argv));
  const short = SHORT_OPTIONS.find(({ program }) => program.test(argv[0] ?? ''));
  const value = shown.map((arg, at) => {
    const before = argv[at - 1] ?? '';
    const attached = short !== undefined && arg.startsWith(short.option) && arg.length > short.option.length;
    if (attached || (short?.apart === true && before === short.option)) {
      count += 1;
      return attached ? `${short.option}[redacted:argument]` : '[redacted:argument]';
    }
    // `-u` takes a password only as `user:password`, and `-u` alone means many things.
    const secret = SECRET_OPTION.test(before) && (!/^-(-user|-proxy-user|u|U)$/.test(before) || arg.includes(':'));
    if (secret && !(arg.startsWith('-') && !arg.includes(':'))) {
      count += 1;
      return '[redacted:argument]';
    }
    const cut = redactText(arg);
    count += cut.count;
    return cut.value;
  });
  if (argv.length > shown.length) value.push(`…(+${argv.length - shown.length})`);
  return { value, count };
}

/** How many of a list are recorded. */
function shownOf(list: readonly string[]): number {
  let length = 0;
  const end = list.slice(0, MAX_ITEMS).findIndex((item) => {
    const before = length;
    length += Math.min(item.length, MAX_TEXT);
    return before >= MAX_LIST;
  });
  return end < 0 ? MAX_ITEMS : end;
}

function isHarmless(text: string): boolean {
  return text.length <= MAX_TEXT && !SUSPECT.test(text);
}

function isHarmlessList(list: readonly string[]): boolean {
  let length = 0;
  for (const item of list) {
    if (!isHarmless(item) || SECRET_OPTION.test(item)) return false;
    length += item.length;
  }
  return list.length <= MAX_ITEMS && length < MAX_LIST;
}

function areHarmless(fields: object): boolean {
  for (const value of Object.values(fields)) {
    if (typeof value === 'string' ? !isHarmless(value) : Array.isArray(value) && !isHarmlessList(value as readonly string[])) return false;
  }
  return true;
}

/** The same for each text and each list of arguments in an event; `count` is the sum over its fields. */
export function redactEvent(event: AuditEvent): Redacted<AuditEvent> {
  // Most are recorded as they are: a build has thousands.
  if (areHarmless(event.object ?? {}) && areHarmless(event.detail ?? {}) && areHarmless(event.subject ?? {})) return { value: event, count: 0 };
  let count = 0;
  const text = (value: string): string => {
    const cut = redactText(value);
    count += cut.count;
    return cut.value;
  };
  const list = (values: readonly string[]): string[] => {
    const cut = redactArgv(values);
    count += cut.count;
    return cut.value;
  };
  const fields = (given: AuditFields): AuditFields =>
    Object.fromEntries(Object.entries(given).map(([key, value]) => [key, typeof value === 'string' ? text(value) : Array.isArray(value) ? list(value as readonly string[]) : value]));
  const { subject } = event;
  const value: AuditEvent = {
    ...event,
    object: fields(event.object ?? {}),
    detail: fields(event.detail ?? {}),
    subject: subject === null || subject === undefined ? null : {
      pid: subject.pid,
      exe: subject.exe === null ? null : text(subject.exe),
      argv: subject.argv === null ? null : list(subject.argv),
      cwd: subject.cwd === null ? null : text(subject.cwd),
    },
  };
  return { value, count };
}
