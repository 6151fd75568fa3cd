import type { Bytes } from '../bytes.js';
import { toBuffer } from '../bytes.js';
import type { ViewOp } from '../view/plan.js';

/** Twin of driver/spec.c: what the driver is told. docs/driver-protocol.md has the grammar. */
export interface Spec {
  readonly mode: 'user' | 'root';
  readonly uid: number;
  readonly gid: number;
  readonly newroot: Bytes;
  readonly cwd: Bytes;
  readonly net: 'off' | 'host' | 'gate';
  readonly nested: 'allow' | 'no-cgroup' | 'deny';
  readonly tty: boolean;
  readonly detach: boolean;
  /** the agent starts when the driver is told `go` */
  readonly wait: boolean;
  /** tell of every program that starts */
  readonly audit: 'none' | 'exec';
  readonly argv: readonly Bytes[];
  readonly env: readonly Bytes[];
  readonly rlimits: readonly { readonly name: string; readonly soft: string; readonly hard: string }[];
  /** control groups to start the tree in, and ours to go back to */
  readonly groups: readonly { readonly dir: string; readonly back: string }[];
  readonly ops: readonly ViewOp[];
  /** host sockets that are brokered: where the driver listens, and the real one */
  readonly sockets: readonly { readonly listen: Bytes; readonly target: Bytes; readonly isKeys: boolean }[];
}

/** What joins a running sandbox: no view is built. */
export interface EnterSpec extends Omit<Spec, 'newroot' | 'detach' | 'wait' | 'audit' | 'ops' | 'sockets'> {
  readonly target: { readonly pid: number; readonly start: string };
}

const HEADER = 'agentfw-spec 1';

/** What the driver reads to start a run: docs/driver-protocol.md. Throws for a token with NUL. */
export function encodeSpec(spec: Spec): Buffer {
  return encode([
    ...common(spec),
    ['newroot', spec.newroot],
    ['detach', spec.detach ? '1' : '0'],
    ['wait', spec.wait ? '1' : '0'],
    ['audit', spec.audit],
    ...process(spec),
    ...spec.sockets.map(({ listen, target, isKeys }): Tokens => ['socket', listen, target, isKeys ? 'keys' : 'bytes']),
    ...spec.ops.map(opTokens),
  ]);
}

/** The same for `exec` in a sandbox that runs. */
export function encodeEnterSpec(spec: EnterSpec): Buffer {
  return encode([...common(spec), ['target', String(spec.target.pid), spec.target.start], ...process(spec)]);
}

type Tokens = readonly string[];

function common(spec: Omit<EnterSpec, 'target'>): readonly Tokens[] {
  return [
    ['mode', spec.mode],
    ['ids', String(spec.uid), String(spec.gid)],
    ['cwd', spec.cwd],
    ['net', spec.net],
    ['nested', spec.nested],
    ['tty', spec.tty ? '1' : '0'],
  ];
}

function process(spec: Pick<Spec, 'argv' | 'env' | 'rlimits' | 'groups'>): readonly Tokens[] {
  return [
    ...spec.argv.map((word): Tokens => ['arg', word]),
    ...spec.env.map((entry): Tokens => ['env', entry]),
    ...spec.rlimits.map((limit): Tokens => ['rlimit', limit.name, limit.soft, limit.hard]),
    ...spec.groups.map(({ dir, back }): Tokens => ['cgroup', dir, back]),
  ];
}

function opTokens(step: ViewOp): Tokens {
  switch (step.op) {
    case 'dir':
      return ['dir', step.dst, octal(step.mode)];
    case 'symlink':
      return ['symlink', step.target, step.dst];
    case 'file':
      return ['file', step.dst, octal(step.mode), step.content];
    case 'bind':
      return ['bind', step.src, step.dst, step.write ? 'rw' : 'ro'];
    case 'overlay':
      return ['overlay', step.dst, step.upper, step.work, step.options.join(','), String(step.lowers.length), ...step.lowers];
    case 'shim':
      return ['shim', step.dst, step.base, String(step.paths.length), ...step.paths];
    case 'tmpfs':
      return ['tmpfs', step.dst, octal(step.mode), String(step.size), step.flags.join(',')];
    default:
      return [step.op, step.dst];
  }
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8);
}

function encode(records: readonly Tokens[]): Buffer {
  const tokens = [HEADER, ...records.flat(), 'end'];
  for (const token of tokens) {
    // A NUL would begin a token of somebody else's choosing.
    if (token.includes('\0')) throw new Error(`a spec token holds a NUL: ${JSON.stringify(token)}`);
  }
  return toBuffer(tokens.map((token) => `${token}\0`).join('') as Bytes);
}
