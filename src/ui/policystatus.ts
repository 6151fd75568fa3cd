import type { StoredPolicy } from '../sandbox/policy-file.js';
import { profileText } from '../sandbox/policy-words.js';
import { escapeForTerminal } from './escape.js';

/** The line of `status` about the policy of the newest run. */
export function policyRow(stored: StoredPolicy | null): string[][] {
  if (stored === null) return [];
  const { policy } = stored;
  return [['policy', `profile ${escapeForTerminal(profileText(policy))}, digest ${policy.digest.slice(0, 16)}`]];
}

/** What is worth knowing beside the rules. */
export function policyNotes(stored: StoredPolicy | null): string {
  if (stored === null) return '';
  const withheld = stored.withheld.length === 0 ? [] : [`withheld from the environment: ${stored.withheld.join(', ')}`];
  const notes = [...stored.notes, ...withheld];
  return notes.length === 0 ? '' : `\nOf the policy:\n${notes.map((note) => `  ${escapeForTerminal(note)}\n`).join('')}`;
}

/** The fields of docs/json.md; null for a sandbox without a policy of its own. */
export function policyJson(stored: StoredPolicy | null): object | null {
  if (stored === null) return null;
  const { digest, profile } = stored.policy;
  return { digest, profile: profile.name, profileVersion: profile.version, why: profile.why, notes: stored.notes, withheld: stored.withheld };
}
