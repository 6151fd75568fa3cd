import type { Bytes } from '../bytes.js';
import { addReadOnly, regionOf, type Draft } from './draft.js';

/**
 * Files that ssh refuses unless root or the user owns them. The one-id map
 * shows root's files as nobody's, so copies that belong to the user lie over
 * them.
 */
const CHECKED = [
  { path: '/etc/ssh/ssh_config', name: 'ssh_config' },
  { path: '/etc/ssh/ssh_config.d', name: 'ssh_config.d' },
  { path: '/etc/crypto-policies/back-ends/openssh.config', name: 'openssh.config' },
] as const;

/** OpenSSH refuses configuration that others own, and inside root's files are nobody's. */
export function placeSsh(draft: Draft): void {
  for (const { path, name } of CHECKED) {
    const real = draft.facts.realpath(path as Bytes);
    if (real === null || regionOf(draft, real).kind === 'hidden') continue;
    const source = `${draft.options.sandboxDir}/stand-ins/${name}` as Bytes;
    draft.standIns.push({ from: real, name: name as Bytes });
    addReadOnly(draft, real, 'a copy of yours: ssh refuses files of nobody', source);
  }
}
