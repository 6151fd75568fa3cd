import { existsSync, readFileSync } from 'node:fs';
import type { Context } from '../context.js';
import { DRIVER } from '../kernel/background.js';
import type { Surroundings } from './doctor.js';
import { modeOf } from './start.js';

/** Where this process runs, as far as it shows. */
export function surroundingsOf(context: Context): Surroundings {
  const release = read('/etc/os-release');
  const word = (key: string): string => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(release)?.[1] ?? '';
  return {
    distribution: `${word('ID')} ${word('ID_LIKE')}`.trim(),
    container: containerOf(context.env),
    wsl: /microsoft/i.test(read('/proc/sys/kernel/osrelease')),
    mode: modeOf(context),
    driver: DRIVER,
  };
}

function containerOf(env: Context['env']): Surroundings['container'] {
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined) return 'kubernetes';
  if (existsSync('/run/.containerenv')) return 'podman';
  return existsSync('/.dockerenv') ? 'docker' : null;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
