import type { AuditRecord } from '../audit/event.js';
import { escapeForTerminal } from './escape.js';
import type { Paint } from './print.js';

/** One record on one line: when (UTC, as `Z` says), verdict, kind, what, rule, who, why. */
export function recordLine(record: AuditRecord, paint: Paint): string {
  const { time, kind, verdict, object, subject, detail } = record;
  const colour = verdict === 'deny' ? 'red' : verdict === 'ask' ? 'yellow' : 'green';
  const words = [
    `${time.slice(0, 19).replace('T', ' ')}Z`,
    paint(verdict === null ? 'dim' : colour, (verdict ?? '-').padEnd(5)),
    kind.padEnd(8),
    ...[whatOf(object), ruleOf(record), subject === null ? '' : whoOf(subject), factsOf(detail)].filter((word) => word !== '').map(escapeForTerminal),
  ];
  return words.join(' ');
}

/** Of what an answer let pass, the rule alone would be the one that asks. */
function ruleOf({ rule, verdict, approval }: AuditRecord): string {
  if (rule === null) return '';
  return verdict === 'allow' && approval !== null ? `[${rule}, approved: ${approval}]` : `[${rule}]`;
}

function whatOf(object: AuditRecord['object']): string {
  const { host, port, argv, rule, name, type, id } = object;
  if (typeof host === 'string') return `${host.includes(':') ? `[${host}]` : host}:${String(port ?? '')}${typeof id === 'string' ? ` (${id})` : ''}`;
  if (Array.isArray(argv)) return argv.join(' ').slice(0, 200);
  if (typeof rule === 'string') return rule;
  if (typeof name === 'string') return typeof type === 'number' ? `${name} ${RECORDS.get(type) ?? `type ${type}`}` : name;
  return Object.entries(object).map(fact).join(' ');
}

/** What may be asked upstream. */
const RECORDS: ReadonlyMap<number, string> = new Map([[1, 'A'], [15, 'MX'], [16, 'TXT'], [33, 'SRV']]);

function whoOf({ exe, pid }: NonNullable<AuditRecord['subject']>): string {
  return `${exe?.split('/').at(-1) ?? '?'} (${pid})`;
}

function factsOf(detail: AuditRecord['detail']): string {
  const facts = Object.entries(detail).filter(([, value]) => value !== null);
  return facts.map(([key, value]) => (key === 'why' ? String(value) : fact([key, value]))).join(' ');
}

function fact([key, value]: readonly [string, AuditRecord['detail'][string]]): string {
  return `${key}=${Array.isArray(value) ? value.join(',') : String(value)}`;
}
