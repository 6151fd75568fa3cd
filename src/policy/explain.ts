import { posix } from 'node:path';
import { fromText, toText, type Bytes } from '../bytes.js';
import { usageError } from '../errors.js';
import type { CompiledPolicy, CompiledRule, Origin } from './compiled.js';
import { judgeEnv } from './environment.js';
import { judgeChange, judgeHost, judgePath, judgeSocket, type Judgement } from './judge.js';

/** What can be asked about. */
export type SubjectKind = 'path' | 'host' | 'env' | 'socket';
/** What would be done with a path. */
export type Operation = 'read' | 'write' | 'commit';

/** One question to the engine that enforces. */
export interface Question {
  readonly kind: SubjectKind;
  readonly subject: string;
  readonly op: Operation;
  /** what relative paths are relative to */
  readonly cwd: string;
  readonly addresses?: readonly string[];
}

/** The answer of the engine that enforces, with its reason. */
export interface Explanation {
  readonly kind: SubjectKind;
  /** in canonical form */
  readonly subject: string;
  readonly op: Operation | null;
  readonly verdict: 'allow' | 'ask' | 'deny' | 'commit' | 'discard' | 'escalate';
  readonly rule: string;
  readonly origin: Origin | null;
  readonly why: string;
  /** paths written: where the write goes */
  readonly lands: 'host' | 'layer' | null;
  /** rules that matched too, and lost */
  readonly also: readonly { readonly list: string; readonly rule: string; readonly origin: Origin }[];
}

/** Asks the engine and tells the answer with everything that matched. Pure. */
export function explain(policy: CompiledPolicy, question: Question): Explanation {
  switch (question.kind) {
    case 'path': return explainPath(policy, question);
    case 'host': return explainHost(policy, question);
    case 'env': {
      const { verdict, rule, origin, why } = judgeEnv(policy, question.subject, '');
      return { kind: 'env', subject: question.subject, op: null, verdict, rule, origin, why, lands: null, also: [] };
    }
    case 'socket': return told(question, question.subject, judgeSocket(policy, question.subject), null);
  }
}

function explainPath(policy: CompiledPolicy, question: Question): Explanation {
  const path = absolutePath(question.subject, policy.home, question.cwd);
  if (question.op === 'commit') {
    const change = { path, from: null, kind: 'modify', type: 'file', class: 'normal', conflict: null } as const;
    return { ...told(question, toText(path), judgeChange(policy, change), null), op: 'commit' };
  }
  const judged = judgePath(policy, path, question.op);
  return { ...told(question, toText(path), judged, judged.lands), op: question.op };
}

function explainHost(policy: CompiledPolicy, question: Question): Explanation {
  const parts = /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(question.subject);
  const host = parts?.[1] ?? question.subject;
  const port = Number(parts?.[2] ?? 443);
  if (port < 1 || port > 65_535) throw usageError(`${question.subject}: a port is a number from 1 to 65535.`, 'For example: example.org:443');
  const judged = judgeHost(policy, { host, port, ...(question.addresses === undefined ? {} : { addresses: question.addresses }) });
  return told(question, `${host}:${port}`, judged, null);
}

/** `~/x`, `./x` and plain words as a shell user means them. */
function absolutePath(text: string, home: string, cwd: string): Bytes {
  if (text === '') throw usageError('A path is empty.', 'Name one: agentfw policy explain path ./FILE');
  const path = text === '~' || text.startsWith('~/') ? posix.join(home, text.slice(1)) : posix.resolve(cwd, text);
  return fromText(path.length > 1 ? path.replace(/\/$/, '') : path);
}

function told<V extends Explanation['verdict']>(question: Question, subject: string, judged: Judgement<V>, lands: Explanation['lands']): Explanation {
  const also = judged.also.map((rule: CompiledRule) => ({ list: rule.list, rule: rule.id, origin: rule.origin }));
  return { kind: question.kind, subject, op: null, verdict: judged.verdict, rule: judged.rule, origin: judged.origin, why: judged.why, lands, also };
}
