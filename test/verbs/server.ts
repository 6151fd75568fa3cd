/** The other end of inside.py. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Layer } from '../../src/sandbox/sandbox.js';
import type { Bytes } from '../../src/bytes.js';
import { relativeTo } from '../../src/changes/plan/step.js';

/** What there is at a path, as `ops.py` dumps it. */
export type Entry = Readonly<Record<string, unknown>>;
/** By path below the tree; bytes as latin1. */
export type Tree = Readonly<Record<string, Entry>>;

export interface Looked {
  readonly log: readonly string[];
  readonly dump: Tree;
  readonly ghosts?: readonly string[];
}

interface Work {
  readonly seed: string;
  readonly count: number;
}

const LOOK: Work = { seed: '', count: 0 };

export interface Server {
  /** a tree to begin with */
  readonly make: (root: Bytes, seed: string) => Promise<void>;
  /** operations on the host, and what it is then */
  readonly host: (root: Bytes, work?: Work) => Promise<Looked>;
  /** operations in the view of a sandbox, and what that is then */
  readonly view: (layer: Layer, root: Bytes, work?: Work) => Promise<Looked>;
  /** what an export in a file makes of a copy of the host's tree, null where it can't; the log is what refused it */
  readonly exported: (root: Bytes, product: Product) => Promise<Pick<Looked, 'log'> & { readonly dump: Tree | null }>;
  readonly end: () => Promise<void>;
}

export interface Product {
  readonly kind: 'patch' | 'tar';
  /** the file */
  readonly product: string;
  /** where the copy is made */
  readonly top: string;
}

export function startServer(script: string, at: string, env: NodeJS.ProcessEnv): Server {
  const own = process.getuid?.() === 0 ? ['-m'] : ['-U', '-r', '-m'];
  const child: ChildProcess = spawn('unshare', [...own, '/usr/bin/python3', script, at], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  const ask = async (request: object): Promise<Looked> => {
    child.stdin?.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`the server of views ended at ${JSON.stringify(request)}`);
    return JSON.parse(value) as Looked;
  };
  return {
    make: async (root, seed) => void (await ask({ verb: 'make', root, seed })),
    host: (root, work = LOOK) => ask({ verb: 'host', root, ...work }),
    view: (layer, root, work = LOOK) => ask({ verb: 'view', layer: { base: layer.base, dir: layer.dir, family: layer.family }, rel: `/${relativeTo(layer.base, root)}`, ...work }),
    exported: (root, product) => ask({ verb: 'exported', root, ...product }),
    end: async () => {
      child.stdin?.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}
