import type { CompiledPolicy, CompiledRule, Loosening, Origin } from '../policy/compiled.js';
import { placeText } from '../policy/document.js';
import type { Explanation } from '../policy/explain.js';

import { profileNames, type SourceRequest } from '../policy/sources.js';
import { escapeForTerminal } from './escape.js';
import { table } from './table.js';

/** The policy request of this process; `agent` is a profile's name or a command. */
export async function requestHere(agent: string | null, more: Partial<SourceRequest> = {}): Promise<SourceRequest> {
  const [{ processContext }, { policyRequest }] = await Promise.all([import('./context.js'), import('../policy/request.js')]);
  const profile = agent !== null && profileNames().includes(agent) ? { profile: agent } : agent === null ? {} : { argv: [agent] };
  return policyRequest(processContext(), { ...profile, ...more });
}

/** Where a rule is from, and of which layer. */
export function originText(origin: Origin | null): string {
  return origin === null ? 'agentfw itself' : `${placeText(origin)} (${origin.layer})`;
}

/** A table, escaped for a terminal. */
export function explanationText({ verdict, lands, subject, op, rule, origin, why, also }: Explanation): string {
  const rows = [
    ['verdict', `${verdict}${lands === 'host' ? ', to the host at once' : lands === 'layer' ? ', to the layer' : ''}`],
    ['subject', op === null ? subject : `${op} ${subject}`],
    ['rule', rule],
    ['from', originText(origin)],
    ['because', why],
    ...also.map((other, i) => [i === 0 ? 'also' : '', `${other.list} ${other.rule}, ${originText(other.origin)}`]),
  ];
  return table(rows.map((row) => row.map(escapeForTerminal)));
}

/** The whole policy, list by list, each rule with its place. */
export function policyText(policy: CompiledPolicy): string {
  const { profile } = policy;
  const head = table([
    ['profile', `${profile.name}${profile.version === null ? '' : ` ${profile.version}`} (${profile.why})${profile.unverified ? ', unverified' : ''}`],
    ['project', policy.project],
    ['digest', policy.digest],
  ].map((row) => row.map(escapeForTerminal)));
  const files = policy.files.map(({ layer, file, trusted }) => `  ${layer}: ${file}${trusted ? '' : ' (not trusted: only tightens)'}\n`).join('');
  const lists = [...new Set(policy.rules.map(({ list }) => list))].sort();
  const rules = lists.map((list) => `\n${list}\n${table(policy.rules.filter((rule) => rule.list === list).map(ruleRow))}`).join('');
  const settings = `\nsettings\n${table(policy.settings.map(({ key, value, origin }) => [`  ${key}: ${value}`, originText(origin)].map(escapeForTerminal)))}`;
  return `${head}\nFiles\n${escapeLines(files)}${settings}${rules}${loosenedText(policy.loosened)}`;
}

function ruleRow(rule: CompiledRule): string[] {
  const { paths, hosts, names } = rule.subjects;
  const subjects = [...new Set([...paths.map(({ text }) => text), ...hosts.map(({ text }) => text), ...names])].join(' ');
  const holes = [...new Set([...rule.except.paths.map(({ text }) => text), ...rule.except.hosts.map(({ text }) => text), ...rule.except.names])];
  return [`  ${rule.id}`, `${subjects}${holes.length === 0 ? '' : ` except ${holes.join(' ')}`}`, originText(rule.origin)].map(escapeForTerminal);
}

/** What a layer was not allowed to loosen; nothing when there is none. */
export function loosenedText(loosened: readonly Loosening[]): string {
  if (loosened.length === 0) return '';
  const lines = loosened.map(({ what, why, hint, origin }) => `  ${escapeForTerminal(`${what} in ${originText(origin)}: ${why}`)}\n${hint === null ? '' : `    ${escapeForTerminal(hint)}\n`}`);
  return `\nNot loosened\n${lines.join('')}`;
}

function escapeLines(text: string): string {
  return text.split('\n').map(escapeForTerminal).join('\n');
}
