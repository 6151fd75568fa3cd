import type { PolicyDocument } from './document.js';

/** The commented file that `policy init` writes. Everything in it is what holds without it. */
export function policyTemplate(agent: string | null, profile: PolicyDocument | null): string {
  const hosts = profile?.rules.filter((rule) => rule.list === 'network.allow').flatMap((rule) => rule.subjects) ?? [];
  return `# agentfw policy. Check it with: agentfw policy check
# What withholds (hide, readonly, deny, discard, escalate) covers all below a path and ignores case.
# What grants (commit, accept, passthrough, except) matches exactly: write dir/** for a directory.
# Precedence: deny > ask > allow > default, and discard > escalate > commit > default, in any order.
version: 1
${agent === null ? '# extends: claude-code' : `# The profile \`${agent}\` is chosen by the command; \`extends\` would use it for every command.\n# extends: ${agent}`}

files:
  # Not seen, read or written by the agent, beside the shipped secrets (agentfw policy show --effective).
  hide: []
  # Written to the host at once. Only directories.
  passthrough: []
  readonly: []

changes:
  # Lands by itself when the agent ends with status 0, and nothing speaks against it.
  commit: []            # e.g. ["./src/**", "./test/**"]
  discard: []           # e.g. ["./dist/**"]
  escalate: []          # e.g. ["./migrations"]
  default: escalate
  thresholds: {deletions: 50, files: 2000, bytes: 500MB}

network:
${hosts.length === 0 ? '' : `  # The profile allows: ${hosts.join(', ')}\n`}  allow: []             # e.g. [registries, github]
  deny: []
  default: ask

environment:
  keep: []              # names of variables that the agent needs

# Holes in shipped rules, by id:
# except:
#   secrets.pem: ["./test/fixtures/**"]
`;
}
