/** What walks a value level by level has a stack; nobody writes files as deep as this. */
const MOST_LEVELS = 1000;

/**
 * The value of a JSON text that somebody else wrote. Throws SyntaxError where it
 * is none, or where it is more than 1,000 levels deep: JSON.parse takes any depth, but
 * whatever compares or prints such a value overflows the stack.
 */
export function parseJson(text: string): unknown {
  requireShallow(text);
  return JSON.parse(text);
}

/** The same for a text with line and block comments, as programs write at the head of files that are theirs. */
export function parseCommentedJson(text: string): unknown {
  return parseJson(text.includes('/') ? withoutComments(text) : text);
}

/** Strings stay, and a space stands for a comment. From one that isn't closed on all stays: it is no JSON, and is looked for once. */
function withoutComments(text: string): string {
  let [kept, from, inString] = ['', 0, false];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') inString = !inString;
    else if (inString && char === '\\') at += 1;
    else if (!inString && char === '/') {
      const end = endOfComment(text, at);
      if (end === null) break;
      kept += `${text.slice(from, at)} `;
      from = end;
      at = end - 1;
    }
  }
  return kept + text.slice(from);
}

function endOfComment(text: string, at: number): number | null {
  const line = text[at + 1] === '/';
  if (!line && text[at + 1] !== '*') return null;
  const end = text.indexOf(line ? '\n' : '*/', at + 2);
  return end < 0 ? (line ? text.length : null) : line ? end : end + 2;
}

function requireShallow(text: string): void {
  let [level, inString] = [0, false];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '"') inString = !inString;
    else if (inString && char === '\\') at += 1;
    else if (inString) continue;
    else if (char === '[' || char === '{') level += 1;
    else if (char === ']' || char === '}') level -= 1;
    if (level > MOST_LEVELS) throw new SyntaxError(`deeper than ${MOST_LEVELS} levels`);
  }
}
