/** The lock that every commit of a store needs, held by a test: what holds an agent still waits there. */
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { childrenOf, strike } from './processes.js';
import type { Area } from './sandbox.js';

interface Held {
  readonly kill: () => void;
}

const held: Held[] = [];

export async function holdStore(area: Area): Promise<Held> {
  // Made by whoever comes first: it must be its owner's to open.
  const [file = '', ...rest] = area.as(['sh', '-c', ': >>"$1"', 'sh', lockOf(area)]);
  execFileSync(file, rest);
  const child = execFile('flock', [lockOf(area), 'sh', '-c', 'echo held; exec sleep 1000']);
  await new Promise((done) => child.stdout?.once('data', done));
  const lock = {
    kill: () => {
      for (const pid of childrenOf(child.pid ?? 0)) strike(pid);
      child.kill('SIGKILL');
    },
  };
  held.push(lock);
  return lock;
}

/** For `afterEach`. */
export function releaseStores(): void {
  held.splice(0).forEach((lock) => lock.kill());
}

/** Somebody stands in line for the lock of `holdStore`. */
export function isAwaited(area: Area): boolean {
  const { ino } = statSync(lockOf(area));
  return readFileSync('/proc/locks', 'latin1').split('\n').some((line) => line.includes('->') && line.includes(`:${ino} `));
}

function lockOf(area: Area): string {
  return join(area.state, 'commits/.lock');
}
