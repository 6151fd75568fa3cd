import { joinBytes, type Bytes } from '../../bytes.js';
import type { WalkEntry } from '../../kernel/kernel.js';
import type { Change, JudgedChange } from '../change.js';
import { fileTypeOf } from './filetype.js';

/** Where an entry of a layer is. */
export interface Whereabouts {
  readonly layer: { readonly base: Bytes };
  /** index of the layer */
  readonly index: number;
  /** absolute: the directory that the entry is in */
  readonly dir: Bytes;
}

/** In what the changes of a layer's entries differ. */
export interface Told {
  readonly basePath: Bytes;
  /** an addition unless said otherwise */
  readonly kind?: Change['kind'];
  readonly content?: boolean;
  readonly meta?: Change['meta'];
  /** of a deletion: the type and the target that it had */
  readonly gone?: Pick<Change, 'type' | 'target'>;
  readonly oldType?: Change['oldType'];
}

/** One literal for all of them, as there may be very many. */
export function start(where: Whereabouts, entry: WalkEntry, told: Told): Change {
  const top = where.layer.base;
  const { kind = 'add', content = false, meta = NO_META, oldType = null, gone, basePath } = told;
  const { path, upper, base, copiedUp, plain, capable, origin, look, lines } = entry;
  const whole = joinBelow(top, path);
  const change: Change & Undecided = {
    path: whole,
    kind,
    from: null,
    type: gone === undefined ? fileTypeOf(upper) : gone.type,
    oldType,
    upper: gone === undefined ? upper : null,
    base,
    // A part of the whole one and no string of its own.
    at: { layer: where.index, path: whole.slice(whole.length - path.length) as Bytes },
    basePath: basePath === path ? undefined : joinBelow(top, basePath),
    opaque: false,
    copiedUp,
    plain,
    capable,
    origin,
    implied: false,
    target: gone === undefined ? entry.target : gone.target,
    link: undefined,
    meta,
    content,
    look,
    lines,
    ordinaryIn: entry.ordinary ? where.dir : undefined,
    crowd: undefined,
    class: undefined,
    reason: undefined,
    conflict: undefined,
    verdict: undefined,
    rule: undefined,
  };
  return change;
}

type Judgement = Pick<JudgedChange, 'class' | 'reason' | 'conflict' | 'verdict' | 'rule'>;

/** What was decided of a change that nobody else has, written into it: there may be a million, and a copy of each is half of their memory. */
export function judgedAs(change: Change, { class: risk, reason, conflict, verdict, rule }: Judgement): JudgedChange {
  const judged = change as { -readonly [K in keyof JudgedChange]: JudgedChange[K] };
  judged.class = risk;
  judged.reason = reason;
  judged.conflict = conflict;
  judged.verdict = verdict;
  judged.rule = rule;
  return judged;
}

/** Room for what is decided later: an object that grows is moved. */
type Undecided = Readonly<Record<'class' | 'reason' | 'conflict' | 'verdict' | 'rule', undefined>>;

const NO_META: Change['meta'] = [];

/** `top` itself for ''. */
export function joinBelow(top: Bytes, path: Bytes): Bytes {
  return path === '' ? top : joinBytes(top, path);
}
