import { isWithin, type Bytes } from '../bytes.js';
import type { JudgedChange } from '../changes/change.js';
import type { Gathered } from '../changes/gather.js';
import type { ContentReader, Side } from '../changes/content.js';
import { isBinary } from '../render/git-binary.js';
import { renderPatch } from '../render/patch.js';
import { changeLine } from './changes.js';
import { escapeForTerminal, showLine } from './escape.js';
import type { Paint } from './print.js';
import { size } from './table.js';

/** What `diff` shows, and to whom. */
export interface PatchView {
  readonly gathered: Pick<Gathered, 'parts' | 'contents'>;
  /** names in the patch are relative to it; what lies outside is named from the root */
  readonly root: Bytes;
  /** the reader is a terminal: nothing in it may act */
  readonly screen: boolean;
  readonly paint: Paint;
}

/** Beyond this many bytes a file is told by size and digest. */
const LARGE = 4 * 1024 * 1024;
/** Beyond this one it is not read at all: a file without blocks may claim terabytes, and an agent makes it in no time. */
const READABLE = 512 * 1024 * 1024;

/**
 * One change as `diff` shows it: a comment line with kind, name and risk, then
 * the text as a patch. The comments don't disturb `git apply`.
 */
export function* viewOf(change: JudgedChange, view: PatchView): Generator<string | Buffer> {
  yield `${view.paint('dim', '#')} ${changeLine(change, view.paint)}${metaText(change)}\n`;
  const contents = readOnce(change, view.gathered.contents);
  const opaque = opaqueText(change, contents);
  if (opaque !== null) {
    yield `${view.paint('dim', '#')}   ${opaque}\n`;
    return;
  }
  const { parts } = view.gathered;
  const inside = isWithin(change.path, view.root) && (change.from === null || isWithin(change.from, view.root));
  const sections = renderPatch([change], { root: inside ? view.root : ('/' as Bytes), contents, parts, partial: true });
  let next = sections.next();
  for (; next.done !== true; next = sections.next()) {
    yield view.screen ? colourPatch(next.value.toString('latin1') as Bytes, view.paint) : next.value;
  }
  for (const { why } of next.value) yield `${view.paint('dim', '#')}   ${escapeForTerminal(why)}\n`;
}

/** What is looked at to tell text from binary is not read again for the patch. */
function readOnce(change: JudgedChange, contents: ContentReader): ContentReader {
  const known = new Map<Side, Buffer>();
  return {
    ...contents,
    read: (other, side, limit) => {
      const content = other === change ? known.get(side) : undefined;
      if (content !== undefined) return content.length <= limit ? content : null;
      const read = contents.read(other, side, limit);
      if (read !== null && other === change) known.set(side, read);
      return read;
    },
  };
}

function metaText({ meta, upper, base }: JudgedChange): string {
  if (meta.length === 0 || upper === null || base === null) return '';
  const words = meta.map((name) => {
    if (name === 'mode') return `mode ${octal(base.mode)} → ${octal(upper.mode)}`;
    return name === 'owner' ? `owner ${base.uid}:${base.gid} → ${upper.uid}:${upper.gid}` : name === 'acl' ? 'ACL' : 'attributes';
  });
  return `  [${words.join(', ')}]`;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

/** Binary and large files by size and digest; null for what can be shown as text. */
function opaqueText(change: JudgedChange, contents: Pick<ContentReader, 'read' | 'digest'>): string | null {
  if (change.type !== 'file' || (change.kind !== 'delete' && !change.content)) return null;
  const sides = (['base', 'upper'] as const).filter((side) => isFile(change, side));
  const shown = sides.every((side) => {
    const stat = change[side];
    if (stat === null || stat.size > LARGE) return false;
    if (stat.size === 0) return true;
    const content = contents.read(change, side, LARGE);
    return content !== null && !isBinary(content);
  });
  if (shown) return null;
  const words = sides.map((side) => {
    const bytes = change[side]?.size ?? 0;
    return `${size(bytes)} ${bytes > READABLE ? '(not read)' : `sha256:${contents.digest(change, side) ?? 'unreadable'}`}`;
  });
  return `binary or large: ${words.join(' → ')}`;
}

function isFile(change: JudgedChange, side: Side): boolean {
  return change[side] !== null && (side === 'upper' || change.kind === 'delete' || change.oldType === null);
}

/** By line, with everything that a terminal would act on made visible. `hunk`: there is no header before it. */
export function colourPatch(text: Bytes, paint: Paint, hunk = false): string {
  let body = hunk;
  const lines = text.split('\n').map((line) => {
    const shown = showLine(line as Bytes);
    if (line.startsWith('diff --git ')) body = false;
    if (line.startsWith('@@ ')) {
      body = true;
      return paint('cyan', shown);
    }
    if (!body) return paint('bold', shown);
    return line.startsWith('+') ? paint('green', shown) : line.startsWith('-') ? paint('red', shown) : shown;
  });
  if (lines.at(-1) === paint('bold', '')) lines[lines.length - 1] = '';
  return lines.join('\n');
}
