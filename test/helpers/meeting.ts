/** Where an agent and its test wait for each other, whatever the machine's speed: a directory that passes through. */
import { chownSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually, type Area } from './sandbox.js';

export interface Meeting {
  /** of `agentfw run` */
  readonly flags: readonly string[];
  /** a shell command: the agent is here, and goes on after `letGo` */
  readonly agent: string;
  readonly begun: () => Promise<void>;
  readonly letGo: () => void;
}

export function meetingIn(area: Area): Meeting {
  const dir = join(area.home, 'meeting');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chownSync(dir, area.identity.uid, area.identity.gid);
  const [here, go] = [join(dir, 'here'), join(dir, 'go')];
  return {
    flags: ['--passthrough', dir],
    agent: `touch '${here}'; until test -e '${go}'; do sleep 0.05; done`,
    begun: async () => void await eventually('the agent is here', () => existsSync(here)),
    letGo: () => writeFileSync(go, ''),
  };
}
