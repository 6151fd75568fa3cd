import { isIP } from 'node:net';
import { string } from '@oclif/core/flags';
import { toText } from '../../bytes.js';
import { usageError } from '../../errors.js';
import { explainHere } from '../../policy/explain-here.js';
import type { Operation, SubjectKind } from '../../policy/explain.js';
import { compilePolicy } from '../../policy/index.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { explanationText, requestHere } from '../../ui/policy.js';

const KINDS: readonly string[] = ['path', 'host', 'env', 'socket'];
const OPS: readonly string[] = ['read', 'write', 'commit'];

export default class PolicyExplain extends AgentfwCommand {
  static override id = 'policy explain';
  static override summary = 'tell what the policy says of something, and which rule says it';
  static override usage = ['policy explain path|host|env|socket SUBJECT [--op read|write|commit]'];
  static override examples = ['agentfw policy explain path ~/.ssh/id_ed25519', 'agentfw policy explain host example.org:443', 'agentfw policy explain env GITHUB_TOKEN'];
  static override flags = {
    ...common,
    agent: string({ description: 'for this agent: a profile or a command', helpValue: 'A' }),
    op: string({ description: 'what is done with a path: read, write or commit', helpValue: 'OP' }),
    address: string({ description: 'an address that the host resolves to (can be repeated)', helpValue: 'IP', multiple: true }),
  };

  protected override async main(): Promise<number> {
    const { flags, words, after } = await this.line(PolicyExplain);
    const [kind = '', subject, ...more] = [...words, ...after].map(toText);
    if (!KINDS.includes(kind)) throw usageError(`policy explain takes ${KINDS.join(', ')}${kind === '' ? '.' : `, not ${kind}.`}`, 'For example: agentfw policy explain path ~/.ssh/config');
    if (subject === undefined || more.length > 0) throw usageError('policy explain takes one subject.', 'See agentfw policy explain --help');
    if (subject === '') throw usageError(`policy explain ${kind}: the subject is empty.`, 'Is a variable empty?');
    const op = flags.op ?? 'read';
    if (!OPS.includes(op)) throw usageError(`--op takes ${OPS.join(', ')}, not ${op}.`, 'See agentfw policy explain --help');
    if (flags.op !== undefined && kind !== 'path') throw usageError('--op is about a path.', 'See agentfw policy explain --help');
    if (flags.address !== undefined && kind !== 'host') throw usageError('--address is about a host.', 'See agentfw policy explain --help');
    const strange = flags.address?.find((address) => isIP(address) === 0);
    if (strange !== undefined) throw usageError(`--address takes an IP address, not ${strange}.`, 'For example: agentfw policy explain host example.org --address 10.0.0.1');
    const request = await requestHere(flags.agent ?? null);
    const { policy } = await compilePolicy(request);
    const question = { kind: kind as SubjectKind, subject, op: op as Operation, cwd: request.cwd, ...(flags.address === undefined ? {} : { addresses: flags.address }) };
    const explanation = explainHere(policy, question);
    if (flags.json) this.printer.json({ version: 1, ...explanation });
    else this.printer.product(explanationText(explanation));
    return 0;
  }
}
