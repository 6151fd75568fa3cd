/** A kernel and a disk that fail, or die, at the n-th call. */
import { fromText } from '../../src/bytes.js';
import type { Disk } from '../../src/changes/apply/disk.js';
import { nodeDisk } from '../../src/changes/apply/disk.js';
import { KernelError, type BatchWork, type Kernel } from '../../src/kernel/kernel.js';

export interface Fault {
  /** `cut`: dies within a batch of renames, after so many; `die`: this call and all after it never happen, as after a kill; `kill`: SIGKILL for real; else an errno name */
  readonly how: 'die' | 'kill' | string;
  /** the number of the call, from 1; 0 never */
  readonly at: number;
}

export interface Counter {
  calls: number;
  /** what was called, when asked for */
  readonly log: string[] | null;
  hit: string | null;
}

const ERRNO: Readonly<Record<string, number>> = { EIO: 5, ENOSPC: 28, EDQUOT: 122, EACCES: 13, EROFS: 30, EPERM: 1, ETXTBSY: 26 };

export class Dead extends Error {}

/** A death, also where it is what an error of the commit tells of: past the commit point that says what it left. */
export function isDeath(error: unknown): boolean {
  return error instanceof Dead || (error instanceof Error && error.cause instanceof Dead);
}

/** Every call counts but closing, which a dead process does too. */
export function faulty(kernel: Kernel, fault: Fault, counter: Counter): { readonly kernel: Kernel; readonly disk: Disk } {
  const step = (name: string, about: string): void => {
    counter.calls += 1;
    counter.log?.push(about === '' ? name : `${name} ${about}`);
    if (fault.at === 0 || counter.calls < fault.at) return;
    if (counter.calls === fault.at) counter.hit = `${name} ${about}`;
    if (fault.how === 'die') throw new Dead(`died at ${name}`);
    if (counter.calls > fault.at) return;
    if (fault.how === 'kill') process.kill(process.pid, 'SIGKILL');
    throw new KernelError(fault.how, ERRNO[fault.how] ?? 5, name, fromText(about), `${fault.how}: injected, ${name}`);
  };
  const { landBatch, ...single } = kernel;
  const wrapped = Object.fromEntries(
    Object.entries(single).map(([name, call]) => [
      name,
      name === 'close'
        ? call
        : (...args: unknown[]): unknown => {
            step(name, args.filter((arg) => typeof arg === 'string').join(' '));
            return (call as (...args: unknown[]) => unknown)(...args);
          },
    ]),
  ) as unknown as Kernel;
  const disk: Disk = {
    write: (fd, data, position) => {
      // A write may be cut short: half of it is there when the machine refuses the rest.
      if (counter.calls + 1 === fault.at) nodeDisk.write(fd, data.subarray(0, data.length >> 1), position);
      step('write', '');
      nodeDisk.write(fd, data, position);
    },
    truncate: (fd, size) => {
      step('truncate', '');
      nodeDisk.truncate(fd, size);
    },
  };
  // Without batches each rename is a call of its own, which can fail.
  if (fault.how !== 'cut' || landBatch === undefined) return { kernel: wrapped, disk };
  const cut = (work: BatchWork): void => {
    const left = fault.at - counter.calls;
    counter.calls += work.status.length;
    landBatch({ ...work, most: left });
    if (left >= work.status.length) return;
    counter.hit = 'landBatch';
    throw new Dead('died in a batch');
  };
  const alive = (): boolean => counter.hit === null;
  const mortal = Object.fromEntries(
    Object.entries(single).map(([name, call]) => [
      name,
      (...args: unknown[]): unknown => {
        if (name !== 'close' && !alive()) throw new Dead(`dead at ${name}`);
        return (call as (...args: unknown[]) => unknown)(...args);
      },
    ]),
  ) as unknown as Kernel;
  return { kernel: { ...mortal, landBatch: cut }, disk: nodeDisk };
}
