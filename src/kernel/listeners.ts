import { readFileSync } from 'node:fs';

const LISTEN = '0A';

/** TCP ports that something listens on in this network namespace; none where the kernel doesn't tell. */
export function listeningPorts(): ReadonlySet<number> {
  return new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => portsIn(textOf(table))));
}

function portsIn(table: string): number[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state] = line.trim().split(/ +/);
    return state === LISTEN ? [parseInt(local.slice(local.lastIndexOf(':') + 1), 16)] : [];
  });
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
