import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { joinBytes, toBuffer, type Bytes } from '../bytes.js';
import { hostFacts } from '../kernel/facts.js';
import type { GateView } from '../view/plan.js';

/** A held question must not make the resolver of the C library try again. */
const RESOLV = 'nameserver 198.18.0.1\noptions timeout:30 attempts:2\n';

/**
 * What resolves names inside: the gate and nothing else. The host's own
 * `hosts` file is read outside, by name, like its resolver: inside it would
 * turn a name that a rule may be about into an address.
 */
export function makeGateFiles(dir: Bytes): GateView {
  const gateDir = joinBytes(dir, 'gate' as Bytes);
  const notes = joinBytes(dir, 'notes' as Bytes);
  for (const path of [gateDir, notes]) mkdirSync(toBuffer(path), { recursive: true, mode: 0o755 });
  const files: GateView['files'][number][] = [];
  for (const [path, content] of [['/etc/resolv.conf', () => RESOLV], ['/etc/hosts', (text: string) => hostsOf(text, hostname())], ['/etc/nsswitch.conf', nsswitchOf]] as const) {
    const real = hostFacts.realpath(path as Bytes);
    if (real === null || hostFacts.lstat(real)?.type !== 'file') continue;
    const source = joinBytes(gateDir, path.slice('/etc/'.length) as Bytes);
    writeFileSync(toBuffer(source), content(textOf(real)), { mode: 0o644 });
    files.push({ path: real, source });
  }
  return { files, notes };
}

/**
 * Loopback only, and what has no dot: the sandbox has a loopback of its own, and any other name is the gate's. What
 * the machine calls itself is there, too, also where the host learns it elsewhere: programs look for themselves by it.
 */
export function hostsOf(text: string, self: string): string {
  const lines = text.split('\n').flatMap((line) => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const kept = names.filter((name) => !name.includes('.'));
    return /^(127(\.\d+){3}|::1|ff02::[12]|fe00::0|ff00::0)$/.test(address) && kept.length > 0 ? [`${address} ${kept.join(' ')}`] : [];
  });
  const known = lines.some((line) => line.split(' ').includes(self)) || !/^[A-Za-z0-9_-]+$/.test(self);
  return `${[...new Set(['127.0.0.1 localhost', ...lines, ...(known ? [] : [`127.0.0.1 ${self}`])])].join('\n')}\n`;
}

/** Modules that ask daemons would find none. */
export function nsswitchOf(text: string): string {
  const others = text.split('\n').filter((line) => !/^\s*hosts\s*:/.test(line)).join('\n').trimEnd();
  return `${others}\nhosts: files dns\n`;
}

function textOf(path: Bytes): string {
  try {
    return readFileSync(toBuffer(path), 'utf8');
  } catch {
    return '';
  }
}
