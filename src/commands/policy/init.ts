import { boolean, string } from '@oclif/core/flags';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgentfwError, errnoOf } from '../../errors.js';
import { loadProfile, PROJECT_FILE, userFile } from '../../policy/sources.js';
import { policyTemplate } from '../../policy/template.js';
import { AgentfwCommand, common } from '../../ui/command.js';
import { escapeForTerminal } from '../../ui/escape.js';
import { requestHere } from '../../ui/policy.js';

export default class PolicyInit extends AgentfwCommand {
  static override id = 'policy init';
  static override summary = 'write a commented policy file to start from';
  static override usage = ['policy init [--agent A] [--project]'];
  static wordless = true as const;
  static override examples = ['agentfw policy init --agent claude-code', 'agentfw policy init --project'];
  static override flags = {
    ...common,
    agent: string({ description: 'the profile to start from', helpValue: 'A' }),
    project: boolean({ description: `write ${PROJECT_FILE} here instead of your own policy` }),
  };

  protected override async main(): Promise<number> {
    const { flags } = await this.line(PolicyInit);
    const request = await requestHere(null);
    const profile = flags.agent === undefined ? null : await loadProfile(request, flags.agent);
    const file = flags.project === true ? join(request.cwd, PROJECT_FILE) : userFile(request);
    if (flags.project !== true) refuseOthers(file, request.uid);
    if (flags.project !== true && file.startsWith(join(request.home, '/')) && !existsSync(request.home)) throw noPlace(file, `the home directory ${request.home} does not exist`);
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, policyTemplate(flags.agent ?? null, profile), { flag: 'wx', mode: 0o644 });
    } catch (error) {
      const code = errnoOf(error);
      if (code === null) throw error;
      // Of the directory it says that something else lies there.
      if (code === 'EEXIST' && existsSync(file)) throw new AgentfwError('AFW_POLICY_EXISTS', `${file} exists already`, { hint: 'Edit it, or move it away first' });
      throw noPlace(file, error);
    }
    if (flags.json) this.printer.json({ version: 1, file });
    else this.printer.say(`Wrote ${escapeForTerminal(file)}`);
    return 0;
  }
}

function noPlace(file: string, cause: unknown): AgentfwError {
  return new AgentfwError('AFW_POLICY_PLACE', `Can't write ${file}`, { cause, hint: 'Name another place for it: XDG_CONFIG_HOME=DIR, or --project for one in this directory' });
}

/** Root would leave a file there, and directories, that keep their owner from the own policy: a sudo may keep HOME. */
function refuseOthers(file: string, uid: number): void {
  let dir = dirname(file);
  while (dir !== '/' && !existsSync(dir)) dir = dirname(dir);
  const owner = statSync(dir).uid;
  if (uid !== 0 || owner === 0) return;
  throw new AgentfwError('AFW_POLICY_UNREADABLE', `Refusing to write ${file}: ${dir} belongs to uid ${owner}, who could not use it.`, { hint: 'Run it as that user, or with a HOME of your own' });
}
