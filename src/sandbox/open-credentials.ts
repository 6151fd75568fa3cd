import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { fromText, joinBytes, toBuffer, toText, type Bytes } from '../bytes.js';
import { judgePath, type CompiledPolicy } from '../policy/index.js';
import { credentialIn } from '../policy/tokens.js';

/**
 * Files that an agent works with and that can't be hidden from it as a rule:
 * git, npm, direnv, its shell stop working. Where one holds a credential, the user is told.
 */
const IN_PROJECT = ['.git/config', '.npmrc', '.yarnrc.yml', '.envrc', 'pip.conf'];
const IN_HOME = [
  '.gitconfig', '.config/git/config', '.bashrc', '.bash_profile', '.profile', '.zshrc', '.zshenv', '.zprofile', '.config/fish/config.fish', '.pam_environment',
  '.curlrc', '.wgetrc', '.condarc', '.config/nix/nix.conf', '.config/uv/uv.toml',
];

const MOST = 256 * 1024;

/** Ways to write one that no shape of a token tells. A variable's name is none. */
const WRITTEN: readonly (readonly [kind: string, shape: RegExp])[] = [
  ['a header that authorizes', /extraheader\s*=\s*"?(?:proxy-)?authorization\s*:/i],
  ['a token of a registry', /(?:_authToken|_auth|_password)\s*=\s*["']?(?!\$\{)[^\s"']{8,}|npm(?:AuthToken|AuthIdent)\s*:\s*["']?(?!\$\{)[^\s"']{8,}/],
];

/** One sentence for each file that the agent will see with a credential in it. `handedIn`: directories that are shared or passed through. */
export function openCredentials(policy: CompiledPolicy, handedIn: readonly Bytes[]): readonly string[] {
  const projects = [...new Set([fromText(policy.project), ...handedIn])];
  const places = [...projects.flatMap((dir) => IN_PROJECT.map((name) => joinBytes(dir, fromText(name)))), ...IN_HOME.map((name) => joinBytes(fromText(policy.home), fromText(name)))];
  return places.flatMap((path) => {
    const text = textOf(path);
    const kind = text === null ? null : kindIn(text);
    return kind === null || judgePath(policy, path, 'read').verdict === 'deny' ? [] : [`the agent can read ${toText(path)}, which holds what looks like ${kind}`];
  });
}

function kindIn(text: string): string | null {
  return WRITTEN.find(([, shape]) => shape.test(text))?.[0] ?? credentialIn(text);
}

/** Null: there is no such file, or nothing that ends soon. */
function textOf(path: Bytes): string | null {
  let fd: number | null = null;
  try {
    fd = openSync(toBuffer(path), constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    return stat.isFile() && stat.size <= MOST ? readFileSync(fd, 'utf8') : null;
  } catch {
    return null;
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
