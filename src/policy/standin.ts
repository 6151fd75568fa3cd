/**
 * Stand-ins for package manager files that mix settings with credentials: the
 * agent sees where packages come from, and no token. What is not known to be
 * harmless is left out. Pure.
 */
export function standInFor(name: string, text: string): string | null {
  const keep = KEEP[name];
  if (keep === undefined) return null;
  const lines = text.split(/\r?\n/).filter((line) => keep.test(line) && !/[$`]\{?\(?\w/.test(line)).map(withoutUserInfo);
  return `${lines.join('\n')}\n`;
}

/** File names of the rule `secrets.registries` that have a stand-in. */
export const STAND_INS: readonly string[] = ['.npmrc', 'npmrc', 'rc', '.yarnrc', '.yarnrc.yml', 'pip.conf'];

const NPM = /^\s*(@[\w.-]+:)?registry\s*=|^\s*(save-exact|save-prefix|ignore-scripts|allow-scripts|min-release-age|prefer-offline|update-notifier|omit-lockfile-registry-resolved|strict-ssl|cafile|yes|engine-strict|package-lock|fund|audit|strict-peer-dependencies|legacy-peer-deps|auto-install-peers|node-linker)\s*=/;

const KEEP: Readonly<Record<string, RegExp>> = {
  '.npmrc': NPM,
  npmrc: NPM,
  // pnpm's
  rc: NPM,
  '.yarnrc': /^\s*"?(@[\w.-]+:)?registry"?\s/,
  '.yarnrc.yml': /^(npmRegistryServer|nodeLinker|enableGlobalCache|compressionLevel)\s*:/,
  'pip.conf': /^\s*\[[\w-]+\]\s*$|^\s*(index-url|extra-index-url|find-links|no-index|trusted-host|cert|constraint|only-binary|no-binary|prefer-binary|require-virtualenv|disable-pip-version-check|timeout|retries)\s*=/,
};

function withoutUserInfo(line: string): string {
  return line.replace(/(\b[a-z][a-z0-9+.-]{0,30}:\/\/)[^\s/]*@/gi, '$1');
}
