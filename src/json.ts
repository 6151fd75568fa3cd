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
