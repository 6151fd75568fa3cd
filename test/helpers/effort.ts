/**
 * Seconds of processor time that something takes: another process can't make
 * it more. For bounds that only work of another order of growth exceeds.
 */
export function secondsOf(work: () => unknown): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
