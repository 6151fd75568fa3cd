import type { Bytes } from '../bytes.js';
import { isWithin } from '../bytes.js';
import { addReadOnly, type Draft } from './draft.js';
import { replaceDecision } from './hiding.js';
import { addOverlay } from './layers.js';
import { mountsBelow } from './mountinfo.js';
import { readOnlyReason } from './user.js';

/**
 * What is handed in for reading. A cover over a file of a bind ends with that
 * file: a host that puts a new one in its place, as editors do, would show it.
 * So a directory with something hidden in it is shown through a layer, where
 * the name is absent whatever the host has there, and nothing can be written.
 */
export function addGranted(draft: Draft, path: Bytes, why: string, source: Bytes = path): void {
  if (source !== path || !canHaveLayer(draft, path)) return addReadOnly(draft, path, why, source);
  addOverlay(draft, path, why);
  draft.ops.push({ op: 'remount-ro', dst: path });
  replaceDecision(draft, path, 'read-only', why);
}

function canHaveLayer(draft: Draft, path: Bytes): boolean {
  const { options, facts, regions, table } = draft;
  if (facts.lstat(path)?.type !== 'dir' || !options.hide.some((hidden) => hidden.path !== path && isWithin(hidden.path, path))) return false;
  const others = [...options.share, ...[...options.readonly, ...options.passthrough].map((one) => one.path)].filter((other) => other !== path);
  if (others.some((other) => isWithin(other, path) || isWithin(path, other))) return false;
  if ([...regions.keys()].some((region) => isWithin(region, path)) || options.previous.some(({ base }) => base !== path && isWithin(base, path))) return false;
  return mountsBelow(table, path).length === 0 && readOnlyReason(draft, path) === null;
}
