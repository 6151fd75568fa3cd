import { z } from 'zod';

/**
 * The policy file's schema. Descriptions are the documentation: they become
 * `policy.schema.json`, which editors show. Meaning beyond shape (patterns,
 * hosts, units) is checked in normalise.ts, with the place in the file.
 */
const id = z.string().regex(/^[a-z][a-z0-9]*([._-][a-z0-9]+)*$/).describe('Name of the rule, shown by `diff`, `log` and `explain`, and the key under which `except:` refers to it. Lower case, e.g. `secrets.env`.');
const note = z.string().max(500).describe('Why the rule exists; shown by `policy explain`.');
const pattern = z.string().describe('`~/x`, `./x` (in the project), `/x` or `**/x` (at any depth). `*` stays within a name; `dir/**` is the directory and everything in it.');
const patterns = z.union([pattern, z.array(pattern).min(1)]);
const examples = (what: string) =>
  z.array(z.string()).min(1).describe(`Examples the rule must ${what}; checked when the file is loaded.`).optional();

const pathRule = z.strictObject({
  path: patterns.describe('What the rule is about: one pattern or several.'),
  id: id.optional(),
  except: z.array(pattern).min(1).describe('Holes in this rule. Exceptions match exactly: write `dir/**` for a directory and all below it.').optional(),
  match: examples('match'),
  not: examples('not match'),
  note: note.optional(),
});
const listOf = <R extends z.ZodType>(rule: R, text: string) => z.array(rule).describe(text).optional();
const pathRules = (text: string) => listOf(z.union([pattern, pathRule]), text);

const stateRule = z.strictObject({
  path: patterns.describe('Single file, e.g. `~/.agent.json`.'),
  id: id.optional(),
  keys: z.array(z.string()).describe('Top-level JSON keys that start programs: a change in one of them escalates.').optional(),
  note: note.optional(),
});

const files = z.strictObject({
  hide: pathRules('What the agent can not see, read or write. Covers everything below, and ignores case.'),
  readonly: pathRules('What the agent can read but not write: writes fail with EROFS.'),
  passthrough: pathRules('Directories whose writes reach the host at once. Single files can not pass through: see `state`.'),
  state: z.array(z.union([pattern, stateRule])).describe("The agent's own state files: written to the layer, committed at any exit status.").optional(),
  share: pathRules('Host files or directories shown read-only although a `hide` rule covers them.'),
  skip: z.array(z.string()).describe('Names of directories that are not searched for `**/NAME` hides, e.g. `node_modules`.').optional(),
});

const size = z.string().describe('A size with unit: `500MB`, `8GiB`.');
const count = z.int().min(0);
const thresholds = z.strictObject({
  deletions: count.describe('Most deletions that may land by themselves.').optional(),
  files: count.describe('Most changed files that may land by themselves.').optional(),
  bytes: size.describe('Most bytes that may land by themselves.').optional(),
  executables: count.describe('Most files that may become executable.').optional(),
  types: count.describe('Most entries that may change their type, or be neither file, directory nor symlink.').optional(),
}).describe('Beyond any of these nothing lands by itself: everything escalates.');

const capture = z.strictObject({
  file: size.describe('Beyond it a file is kept only where its blocks can be shared: 8MiB unless said.').optional(),
  total: size.describe('Most that one run keeps: 256MiB unless said; `none` keeps nothing.').optional(),
}).describe('What is kept of the host\'s versions of what the agent changes: for exact conflicts and merges.');

const changes = z.strictObject({
  commit: pathRules('Lands by itself when the agent ends with status 0, and the class is normal, there is no conflict and no threshold is exceeded. Matches exactly: write `./src/**`.'),
  discard: pathRules('Dropped when the agent ends (kept until pruned).'),
  escalate: pathRules('Waits for a person, whatever `commit` says.'),
  accept: pathRules('Paths whose class (`control`, `later`) is accepted, so that a `commit` rule may land them.'),
  control: pathRules('More paths that run on the host without further action.'),
  later: pathRules('More paths that run code later.'),
  default: z.enum(['commit', 'discard', 'escalate']).describe('What happens to a change that no rule names.').optional(),
  thresholds: thresholds.optional(),
  capture: capture.optional(),
});

const host = z.string().describe('`api.example.com`, `*.example.com` (subdomains only), an address, a network, or the name of a set such as `registries`; perhaps with `:port`.');
const hostRule = z.strictObject({
  host: z.union([host, z.array(host).min(1)]).describe('Host or hosts.'),
  ports: z.union([z.literal('any'), z.array(z.int().min(1).max(65_535)).min(1)]).describe('Ports. Without it: 443 and 80 for `allow` and `ask`, all ports for `deny`.').optional(),
  private: z.boolean().describe('The host may have a private, loopback or link-local address (`allow` only).').optional(),
  methods: z.array(z.string().regex(/^[A-Z]+$/)).min(1).describe('HTTP methods that may be asked for, e.g. `[GET, HEAD]` (`allow` only). They show in plain HTTP alone: the rule means port 80 unless it names ports, and TLS is refused there.').optional(),
  udp: z.boolean().describe('Datagrams to the ports may pass too (`allow` only). Nothing in them is checked.').optional(),
  hiddenName: z.boolean().describe('TLS may hide the name it asks for: no SNI, or an Encrypted ClientHello (`allow` only).').optional(),
  raw: z.boolean().describe('Any bytes may pass on the ports, 443 and 80 included, and no name in them is compared (`allow` only).').optional(),
  silent: z.boolean().describe('Refuse without telling anybody but the audit (`deny` only).').optional(),
  id: id.optional(),
  except: z.array(host).min(1).describe('Holes in this rule.').optional(),
  match: examples('match'),
  not: examples('not match'),
  note: note.optional(),
});
const hostRules = (text: string) => listOf(z.union([host, hostRule]), text);

const network = z.strictObject({
  allow: hostRules('Hosts that may be reached. Empty or absent: none.'),
  ask: hostRules('Hosts that need an answer from a person.'),
  deny: hostRules('Hosts that are refused; no answer and no `allow` lifts it.'),
  default: z.enum(['allow', 'ask', 'deny']).describe('What happens to a host that no rule names.').optional(),
  dns: z.enum(['address', 'nxdomain', 'refused']).describe('What a lookup of a refused name is told: an address, of which the connection is refused in the words of its client (the default), or by DNS itself.').optional(),
  upstream: z.string().describe('The HTTP proxy that is the way out: `http://proxy.corp.example:3128`, or `environment`: the one that HTTPS_PROXY names where agentfw runs. NO_PROXY there says what is reached without it.').optional(),
  sets: z.record(z.string().regex(/^[a-z][a-z0-9-]*$/), z.array(host).min(1)).describe('Named sets of hosts for `allow`, `ask` and `deny`.').optional(),
});

const ask = z.strictObject({
  timeout: z.string().describe('How long a connection is held for an answer, with unit: `60s`, which is the default.').optional(),
  approver: z.array(z.string().min(1)).min(1).describe('A program, absolute or `~/…`, and its arguments: it reads each question as JSON on stdin and answers on stdout. Outside of the sandbox, without a shell.').optional(),
});

const audit = z.strictObject({
  full: z.enum(['stop', 'drop']).describe('When a record can not be written: end the sandbox, or count the loss and go on.').optional(),
  exec: z.boolean().describe('Record every program that starts, with its arguments. Advisory: they can be raced.').optional(),
});

const socket = z.string().describe('A named socket (`ssh-agent`, `docker`, …) or an absolute path.');
const sockets = z.strictObject({
  allow: z.array(socket).describe('Host sockets that are shown inside. Empty or absent: none.').optional(),
  deny: z.array(socket).describe('Host sockets that stay out, whatever `allow` says.').optional(),
  names: z.record(z.string().regex(/^[a-z][a-z0-9-]*$/), z.array(z.string()).min(1)).describe('Names for socket paths; `$VAR` is that variable of the environment.').optional(),
});

const variable = z.string().regex(/^[A-Za-z_*?][A-Za-z0-9_*?]*$/).describe('Name of a variable; `*` and `?` in a name.');
const envRule = z.strictObject({ name: z.union([variable, z.array(variable).min(1)]), id: id.optional(), except: z.array(variable).min(1).optional(), note: note.optional() });
const envRules = (text: string) => listOf(z.union([variable, envRule]), text);
const environment = z.strictObject({
  keep: z.array(variable).describe('Variables that are passed on. A name given exactly also passes `strip` and `secret`; a pattern does not.').optional(),
  set: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).describe('Variables with a value of their own.').optional(),
  strip: envRules('Variables that lead to host services or change how programs behave: only an exact `keep` passes them.'),
  secret: envRules('Names that look like credentials: only an exact `keep` passes them.'),
  loader: envRules('Variables that load code into programs: never passed on.'),
  secrets: z.enum(['drop', 'keep']).describe('Whether variables with secret-looking names or values are dropped.').optional(),
});

const limits = z.strictObject({
  memory: size.describe('Bytes of memory: 1MB or more.').optional(),
  pids: z.int().min(2).describe('Processes and threads, of which one is the sandbox’s own.').optional(),
  cpu: z.number().positive().describe('CPUs, e.g. 1.5.').optional(),
  layer: size.describe('Bytes the layers may hold.').optional(),
  inodes: z.int().min(1).describe('Files the layers may hold.').optional(),
  time: z.string().describe('Wall time with unit: `90s`, `30m`, `2h`.').optional(),
});

const agent = z.strictObject({
  name: z.string().describe('Name shown as the profile.'),
  executables: z.array(z.string()).default([]).describe('Executable names.'),
  packages: z.array(z.string()).default([]).describe('npm packages the executable may belong to.'),
  imposters: z.array(z.string()).default([]).describe('npm packages of a similar name that are something else.'),
  paths: z.array(pattern).default([]).describe('Where the real executable lies when it is no npm package.'),
  unverified: z.boolean().default(false).describe('Not yet proven with the real agent.'),
});

export const policySchema = z.strictObject({
  version: z.literal(1).describe('Version of the format.'),
  description: z.string().describe('What the policy is for.').optional(),
  extends: z.union([z.string(), z.array(z.string()).min(1)]).describe('Shipped profiles to build upon, e.g. `claude-code`.').optional(),
  agent: agent.describe('Profiles only: how the agent is recognised.').optional(),
  moves: z.record(z.string().regex(/^[A-Z_][A-Z0-9_]*$/), pattern).describe('Profiles only: variables that move a directory or a file, e.g. `CODEX_HOME: ~/.codex`.').optional(),
  files: files.describe('What of the file system the agent sees, and where its writes go.').optional(),
  changes: changes.describe('What happens to what the agent wrote. Precedence: discard, escalate, commit, default.').optional(),
  network: network.describe('Which hosts it reaches. Precedence: deny, ask, allow, default.').optional(),
  ask: ask.describe('How questions are answered.').optional(),
  audit: audit.describe('What is written down.').optional(),
  sockets: sockets.describe('Which unix sockets of the host it reaches.').optional(),
  environment: environment.describe('Which variables it gets.').optional(),
  limits: limits.describe('How much of the machine it may use.').optional(),
  nested: z.enum(['allow', 'deny']).describe('Whether it may make user namespaces of its own (browsers and agents with a sandbox need them).').optional(),
  except: z.record(z.string(), z.array(z.string()).min(1)).describe('Holes in rules by id, e.g. `secrets.pem: ["./test/**"]`. Not in a project file that is not trusted.').optional(),
});

/** A file that the schema took, before short forms are written out. */
export type PolicyInput = z.infer<typeof policySchema>;

/** Top-level words that later versions will use. */
export const RESERVED: Readonly<Record<string, string>> = {
  tools: 'rules on tool calls', credentials: 'the credential broker', agents: 'rules per agent',
};
