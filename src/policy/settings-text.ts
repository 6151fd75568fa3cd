import { readFileSync, statSync } from 'node:fs';

const MOST = 256 * 1024;

/** A file of settings of another program, as UTF-8; empty where there is none, or nothing that ends soon: a pipe waits for its writer. */
export function settingsText(file: string): string {
  try {
    const stat = statSync(file);
    return stat.isFile() && stat.size <= MOST ? readFileSync(file, 'utf8') : '';
  } catch {
    return '';
  }
}
