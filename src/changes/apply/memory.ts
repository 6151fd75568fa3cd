import { getHeapStatistics } from 'node:v8';
import { AgentfwError } from '../../errors.js';
import type { Plan } from '../plan/draft.js';

/** What a step, or an entry of a directory that lands whole, adds while a commit is carried out; measured with 100,000: it is 100 and what isn't collected yet. */
const STEP_BYTES = 400;

/** Null when `count` steps fit into what is left of the heap; else what it would have to be, in MiB. */
export function heapWanted(count: number, heap: { readonly limit: number; readonly used: number }): number | null {
  const wanted = heap.used + count * STEP_BYTES;
  return wanted <= heap.limit ? null : Math.ceil((1.25 * wanted) / (1024 * 1024));
}

/** Better before the commit point than in the middle, although a commit that dies there is finished by the next command. */
export function refuseBeyondMemory({ steps }: Plan): void {
  const count = steps.reduce((sum, { entries, covers }) => sum + 1 + (entries?.listed.length ?? 0) + covers.length, 0);
  const { heap_size_limit: limit, used_heap_size: used } = getHeapStatistics();
  const wanted = heapWanted(count, { limit, used });
  if (wanted === null) return;
  throw new AgentfwError('AFW_MEMORY', `${count} changes at once are more than this process has memory for. Nothing landed.`, {
    hint: `Name paths to land them in parts, or give it more: NODE_OPTIONS=--max-old-space-size=${wanted}`,
  });
}
