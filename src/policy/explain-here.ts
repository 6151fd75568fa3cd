import { fromText, joinBytes, nameOf, parentOf, toText, type Bytes } from '../bytes.js';
import { hostFacts } from '../kernel/facts.js';
import type { CompiledPolicy } from './compiled.js';
import { explain, type Explanation, type Question } from './explain.js';

/** The same on this machine: what is reached through a symlink is judged where it really lies, as a run does. */
export function explainHere(policy: CompiledPolicy, question: Question): Explanation {
  const asked = explain(policy, question);
  if (question.kind !== 'path' || asked.verdict === 'deny') return asked;
  const real = realPlace(fromText(asked.subject));
  return toText(real) === asked.subject ? asked : explain(policy, { ...question, subject: toText(real) });
}

/** As far as there are such directories. */
function realPlace(path: Bytes): Bytes {
  if (path === '/') return path;
  return hostFacts.realpath(path) ?? joinBytes(realPlace(parentOf(path)), nameOf(path));
}
