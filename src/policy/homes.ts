import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { fromText, isWithin } from '../bytes.js';

const USUAL = '/home';
const ROOTS = '/root';

/**
 * The user's home directories beside `home`, as real paths: the account
 * database's, and those that belong to the user where homes usually lie. HOME
 * may be set to anything; what is secret in the account's home stays secret.
 * Root can read everybody's: so does that of the account whose project it is about, `cwd`.
 */
export function otherHomes(uid: number, home: string, cwd: string): string[] {
  const found = [accountHome(uid), ...[ROOTS, ...listOf(USUAL)].filter((dir) => ownerOf(dir) === uid), ...(uid === 0 ? homesAround(cwd) : [])];
  const real = found.flatMap((dir) => (dir === null ? [] : realOf(dir)));
  // An account without a home of its own has `/`: a pattern for all of it would be none.
  return [...new Set(real)].filter((dir) => dir !== '/' && dir !== home).sort();
}

function accountHome(uid: number): string | null {
  try {
    const known = userInfo();
    return known.uid === uid && known.homedir.startsWith('/') ? known.homedir : null;
  } catch {
    return null; // an account that no database knows
  }
}

/** Homes of any account that a directory lies in. Not where homes usually lie: all but the project is absent there. */
function homesAround(cwd: string): string[] {
  return accountHomes().flatMap(realOf).filter((dir) => isWithin(fromText(cwd), fromText(dir)) && ![ROOTS, USUAL].some((usual) => isWithin(fromText(dir), fromText(usual))));
}

function accountHomes(): string[] {
  try {
    const homes = readFileSync('/etc/passwd', 'utf8').split('\n').map((line) => line.split(':')[5] ?? '');
    return [...new Set(homes)].filter((dir) => dir.startsWith('/') && dir !== '/');
  } catch {
    return [];
  }
}

function listOf(dir: string): string[] {
  try {
    return readdirSync(dir).map((name) => `${dir}/${name}`);
  } catch {
    return [];
  }
}

function ownerOf(dir: string): number | null {
  try {
    const stat = statSync(dir);
    return stat.isDirectory() ? stat.uid : null;
  } catch {
    return null; // gone, or not ours to look at
  }
}

function realOf(dir: string): string[] {
  try {
    return [realpathSync(dir)];
  } catch {
    return [];
  }
}
