import { readFileSync } from 'node:fs';
import { runProbe } from '../kernel/background.js';
import { proxyVariable } from '../policy/upstream.js';
import { canRun, diagnose, parseProbes, type Finding } from '../sandbox/doctor.js';
import { rungWish } from '../sandbox/network.js';
import { surroundingsOf } from '../sandbox/surroundings.js';
import { AgentfwCommand, common } from '../ui/command.js';
import { escapeForTerminal, showBytes } from '../ui/escape.js';
import { bytesJson } from '../ui/record.js';
import { plural } from '../ui/table.js';

export default class Doctor extends AgentfwCommand {
  static override id = 'doctor';
  static override summary = 'try what a sandbox needs, and say how to fix what is missing';
  static override description = 'Each kernel feature is tried for real. The exit status is 1 when `run` cannot work here.';
  static override usage = ['doctor'];
  static wordless = true as const;
  static override flags = { ...common };

  protected override async main(): Promise<number> {
    const { flags } = await this.line(Doctor);
    const store = await this.store();
    const where = surroundingsOf(store.context);
    const findings = diagnose(parseProbes(runProbe(store.dir, rungWish(store))), where);
    const works = canRun(findings);
    if (flags.json) {
      this.printer.json({ version: 1, works, ...where, kernel: kernelRelease(), ...bytesJson('store', store.dir), checks: findings });
      return works ? 0 : 1;
    }
    const shown = findings.filter(({ ok, level }) => !ok || level !== 'information');
    this.printer.product(shown.map((finding) => this.lines(finding)).join(''));
    this.printer.product(`\nstore   ${showBytes(store.dir)}\nkernel  ${kernelRelease()}\nmode    ${where.mode}\n`);
    const proxy = proxyVariable(store.context.env);
    if (proxy !== null) this.printer.say(`${proxy} is set: the network gate goes through that proxy where your policy says \`network: {upstream: environment}\`.`);
    const weak = findings.filter(({ ok, level }) => !ok && level === 'wanted').length;
    this.printer.say(works ? `Sandboxes can run here${weak === 0 ? '.' : `; ${plural(weak, 'check')} marked weak.`}` : 'Sandboxes can’t run here: fix what says FAIL.');
    return works ? 0 : 1;
  }

  private lines({ name, ok, level, detail, meaning, mend }: Finding): string {
    const { paint } = this.printer;
    const word = ok ? paint('green', 'ok  ') : level === 'needed' ? paint('red', 'FAIL') : level === 'wanted' ? paint('yellow', 'weak') : paint('dim', 'note');
    const note = detail === '' ? '' : ` (${escapeForTerminal(detail)})`;
    const lines = `${word}  ${name.padEnd(18)}  ${meaning}${note}\n`;
    return mend === null ? lines : `${lines}${mend.split('\n').map((line) => `      ${line}\n`).join('')}`;
  }
}

function kernelRelease(): string {
  return readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
}
