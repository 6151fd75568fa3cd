import { readdirSync, realpathSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';

const USUAL = '/home';
const ROOTS = '/root';

/**
 * The user's home directories beside `home`, as real paths: the account
 * database's, and those that belong to the user where homes usually lie. HOME
 * may be set to anything; what is secret in the account's home stays secret.
 */
export function otherHomes(uid: number, home: string): string[] {
  const found = [accountHome(uid), ...[ROOTS, ...listOf(USUAL)].filter((dir) => ownerOf(dir) === uid)];
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
