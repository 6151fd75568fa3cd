import { toText } from '../bytes.js';
import { usageError } from '../errors.js';
import { refuseInside } from '../sandbox/nested.js';
import { liveRule } from '../sandbox/questions.js';
import { resolveOnly } from '../sandbox/resolve.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { escapeForTerminal } from '../ui/escape.js';
import { plural } from '../ui/table.js';

const OPS = ['allow', 'deny', 'revoke'] as const;
const DONE = { allow: 'Allowed', deny: 'Denied', revoke: 'Revoked' } as const;

export default class Net extends AgentfwCommand {
  static override id = 'net';
  static override summary = 'change what a running sandbox reaches, for the rest of its run';
  static override description = 'RULE is HOST or HOST:PORT; without a port, `allow` is about 443 and 80, `deny` and `revoke` about every one. Those two reset what is open. Nothing that the policy denies is allowed by it.';
  static override usage = ['net allow|deny|revoke [TAG] RULE'];
  static override examples = ['agentfw net allow fix-login example.org:443'];
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const line = await this.line(Net);
    refuseInside('net');
    const [word, ...rest] = line.words;
    const op = OPS.find((one) => one === (word === undefined ? '' : toText(word)));
    const rule = rest.at(-1);
    if (op === undefined || rule === undefined || rest.length > 2 || line.after.length > 0) throw usageError('Expected allow, deny or revoke, a tag and a rule.', 'For example: agentfw net allow fix-login example.org:443');
    const store = await this.store();
    const { tag } = resolveOnly(store, { tag: null, words: rest.slice(0, -1), after: [] }, { certain: true, running: true });
    const { result, cut } = await liveRule(store, tag, op, toText(rule));
    if (line.flags.json) this.printer.json({ version: 1, tag, op, rules: result.split(', '), cut });
    else this.printer.say(`${DONE[op]} ${escapeForTerminal(result)} in ${tag}${cut === 0 ? '' : `; ${plural(cut, 'open connection')} reset`}`);
    return 0;
  }
}
